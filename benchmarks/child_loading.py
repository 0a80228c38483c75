"""Loads synthetic receipts of SROIE's length as a training does, and prints what that took as JSON."""

from __future__ import annotations

import json
import logging
import random
import resource
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

from receipt_dynamo import DynamoClient, ReceiptDetails, ReceiptWord, ReceiptWordLabel, ResultPage
from receipt_dynamo import Receipt as ReceiptRecord
from receipt_dynamo.operations.receipts import ReceiptKey
from receipt_layoutlm.data.dataset_hash import hash_receipts
from receipt_layoutlm.data.receipt_draft import DraftLine, DraftReceipt, DraftWord
from receipt_layoutlm.data.receipt_table import store_receipts
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.data.snapshot import load_snapshot, save_snapshot
from receipt_layoutlm.data.split import draw_merchant_split, draw_split
from receipt_layoutlm.data.table_loader import load_receipts
from receipt_layoutlm.data.table_writer import to_records
from receipt_layoutlm.training import run as training
from run_records.s3_store import S3Store

log = logging.getLogger(__name__)

LINES, WORDS = 22, 5
TEMPLATES = 50
FROZEN = 10_000
LABELS = {0: "MERCHANT_NAME", 3: "DATE"}


class Table:
    """As much of a table's client as loading asks for; its receipts differ in their ids and 50 texts."""

    request_count = 0

    def __init__(self, receipts: int) -> None:
        self._receipts = receipts
        self._templates = [_template(number) for number in range(TEMPLATES)]

    def list_receipt_keys(self) -> ResultPage[ReceiptKey]:
        """One receipt an image."""
        return ResultPage([ReceiptKey(_image(number), 1) for number in range(self._receipts)], None)

    def get_image_receipts(self, image_id: str) -> ResultPage[ReceiptDetails]:
        """A template's records, the receipt's own with this image's id."""
        details = self._templates[int(image_id[-8:], 16) % TEMPLATES]
        return ResultPage([details._replace(receipt=replace(details.receipt, image_id=image_id))], None)


def main(receipts: int, folder: Path) -> None:
    """Load, hash and split so many receipts; then load a snapshot of 10,000."""
    # Beside what a training has imported anyway.
    log.info("with %s", training.__name__)
    took: dict[str, float] = {"imported_bytes": _peak_bytes()}
    started = time.perf_counter()
    loaded = load_receipts(cast("DynamoClient", Table(receipts)), folder=folder)
    took["load_seconds"] = time.perf_counter() - started
    hash_receipts(loaded.receipts)
    draw_split(loaded.receipts, 1)
    draw_merchant_split(loaded.receipts, 1)
    took["words"] = loaded.statistics.words
    took["peak_bytes"] = _peak_bytes()
    took.update(_freeze(folder))
    print(json.dumps(took))


def _freeze(folder: Path) -> dict[str, float]:
    path = folder / "snapshot.parquet"
    save_snapshot(S3Store([]), str(path), store_receipts(_draw_receipts(), folder), "benchmark")
    started = time.perf_counter()
    load_snapshot(S3Store([]), str(path), folder)
    return {"snapshot_seconds": time.perf_counter() - started, "snapshot_bytes": path.stat().st_size}


def _draw_receipts() -> Iterator[Receipt]:
    """Receipts of which no two are alike, so that they compress no better than real ones."""
    rng = random.Random(0)  # noqa: S311 - texts and places, not secrets
    for number in range(FROZEN):
        words = []
        for at in range(LINES * WORDS):
            x, y = rng.randrange(900) / 1000, rng.randrange(10**6) / 10**6
            text = f"w{rng.randrange(20_000)}"
            words.append(
                Word(at // WORDS, at % WORDS, text, (x, y, x + 0.05, y + 0.0137), LABELS.get(at % 10))
            )
        yield Receipt(_image(number), 1, tuple(words))


def _template(number: int) -> ReceiptDetails:
    lines = []
    for line in range(LINES):
        y = 20.0 * line + 10
        words = [
            DraftWord(
                f"w{number * 7 + line * 13 + at}",
                (90.0 * at, y, 90.0 * at + 77.7, y + 12),
                "DATE" if at == 3 else None,
            )
            for at in range(WORDS)
        ]
        words[0] = replace(words[0], label="MERCHANT_NAME" if line == 0 else None)
        lines.append(DraftLine(tuple(words), (0.0, y, 450.0, y + 12)))
    records = to_records(DraftReceipt("benchmark", str(number), 463, 463, tuple(lines), "benchmark"))
    [receipt] = [record for record in records if isinstance(record, ReceiptRecord)]
    found = [record for record in records if isinstance(record, ReceiptWord)]
    labels = [record for record in records if isinstance(record, ReceiptWordLabel)]
    return ReceiptDetails(receipt, [], found, labels, [])


def _image(number: int) -> str:
    # Of version 5, in the order of the numbers.
    return str(uuid.UUID(int=(number << 96) | (5 << 76) | (8 << 60) | number))


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
