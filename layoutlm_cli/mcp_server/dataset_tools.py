"""The tool for data set statistics; it reads the whole table, so its result is cached for minutes."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

from pydantic import Field

from layoutlm_cli.mcp_server.answers import Answer
from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import now
from receipt_layoutlm.data.statistics import read_statistics
from run_analysis.summary import DatasetContext, sum_up_dataset

_MERCHANTS = 20


class DatasetAnswer(Answer):
    """The data set as it was at `read_at` of `dataset`."""

    rest: ClassVar[str] = "`layoutlm-cli stats --json` has all."

    dataset: DatasetContext
    merchants_left_out: int = Field(0, description="Those with fewer receipts than the ones shown.")


class DatasetTools:
    """The tool, for one table; keeps its last reading."""

    KEPT_SECONDS: ClassVar[float] = 300.0

    def __init__(self, client: DynamoClient) -> None:
        self._client = client
        self._reading = threading.Lock()
        self._kept: DatasetContext | None = None
        self._read_at = 0.0

    def read(self) -> DatasetContext:
        """The data set, read now or not long ago."""
        # Questions that come while the table is being read wait for that one reading.
        with self._reading:
            if self._kept is None or time.monotonic() - self._read_at > self.KEPT_SECONDS:
                read_at = now()
                self._kept = sum_up_dataset(read_statistics(self._client), read_at)
                self._read_at = time.monotonic()
            return self._kept

    def dataset_statistics(self) -> DatasetAnswer:
        """Count the receipts of the table: words, entities, receipts and merchants of each label, and faults.

        Answers "which labels need more data?" (`labels_scarce`, `labels_absent`, and every label in
        `statistics`). The first call reads the whole table, which may take a minute; the reading is kept for
        five minutes, and `read_at` says when it was made.
        """
        found = self.read()
        merchants = found.statistics.merchants
        shown = found.statistics.model_copy(update={"merchants": merchants[:_MERCHANTS]})
        left = len(merchants[_MERCHANTS:])
        return DatasetAnswer(
            dataset=found.model_copy(update={"statistics": shown}),
            merchants_left_out=left,
            more=f"{left} merchants more: `layoutlm-cli stats --json` has all." if left else None,
        )
