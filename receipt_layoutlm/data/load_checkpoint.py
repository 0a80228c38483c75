"""Checkpoints the reading of a large table in S3, so that the next attempt resumes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from receipt_layoutlm.data.receipt_table import ReceiptTable
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.record_parser import LoadStatistics
from receipt_layoutlm.data.snapshot import load_snapshot, save_snapshot
from run_records.errors import DataError
from run_records.s3_store import S3Store

log = logging.getLogger(__name__)


class _Note(BaseModel):
    """Written after the receipts of a part; without it there is no part.

    Attributes:
        last_image: images up to this one, in the order of their ids, are in this part or before it.
        content_hash: of the part's receipts.
        statistics: what building all of them has counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    last_image: str
    content_hash: str
    statistics: dict[str, int]


@dataclass(frozen=True, slots=True)
class Part:
    """Receipts, labelled or not, of the images after the part before and up to `last_image`."""

    receipts: ReceiptTable
    last_image: str
    statistics: LoadStatistics


@dataclass(slots=True)
class LoadCheckpoint:
    """The parts of one run.

    Attributes:
        storage: where its bucket is allowed.
        prefix: where they lie, with its slash.
        go_on: whether there may be some of an attempt before this one.
        saved: how many there are.
    """

    storage: S3Store
    prefix: str
    go_on: bool
    saved: int = 0

    def load(self, folder: Path | None = None) -> Iterator[Part]:
        """The parts of earlier attempts, up to the first that is not whole."""
        while self.go_on and (part := self._read(self.saved, folder)) is not None:
            self.saved += 1
            yield part

    def save(self, receipts: Sequence[Receipt], last_image: str, statistics: LoadStatistics) -> None:
        """Add a part."""
        place = self._place(self.saved)
        content_hash = save_snapshot(self.storage, f"{place}.parquet", receipts, f"images up to {last_image}")
        note = _Note(last_image=last_image, content_hash=content_hash, statistics=statistics.to_dict())
        self.storage.write(f"{place}.json", note.model_dump_json().encode())
        self.saved += 1

    def _read(self, number: int, folder: Path | None) -> Part | None:
        place = self._place(number)
        body = self.storage.read(f"{place}.json")
        if body is None:
            return None
        try:
            note = _Note.model_validate_json(body)
            receipts, content_hash = load_snapshot(self.storage, f"{place}.parquet", folder)
            statistics = LoadStatistics(**note.statistics)
        except (ValidationError, DataError, TypeError) as error:
            log.warning("%s cannot be used, and what is in it is read again: %s", place, error)
            return None
        if content_hash != note.content_hash:
            log.warning("%s has other receipts than its note says, and is read again", place)
            return None
        return Part(receipts, note.last_image, statistics)

    def _place(self, number: int) -> str:
        return f"{self.prefix}part-{number:05d}"
