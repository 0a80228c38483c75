"""Receipts as an Arrow table."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, groupby, islice
from pathlib import Path
from typing import Any, overload

import pyarrow as pa

from receipt_layoutlm.data.receipts import Receipt, Word, receipt_key

ROWS = 1024
"""Receipts per record batch, some 7 MB."""


def _list_of(kind: Any) -> Any:
    return pa.list_(pa.field("element", kind))  # the child's name in Parquet


# `boxes` holds four numbers a word: float64, because half a unit decides how the clients' rule rounds.
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("receipt_id", pa.int32()),
        ("merchant", pa.string()),
        ("line_ids", _list_of(pa.int32())),
        ("word_ids", _list_of(pa.int32())),
        ("texts", _list_of(pa.string())),
        ("boxes", _list_of(pa.float64())),
        ("labels", _list_of(pa.string())),
    ]
)


class ReceiptTable(Sequence[Receipt]):
    """Receipts in record batches of `SCHEMA`; one is made of its row each time that it is asked for.

    Args:
        batches: the columns; none is empty.
        rows: which rows of all batches this table shows, and in what order; by default each.
    """

    def __init__(self, batches: Sequence[Any], rows: Sequence[int] | None = None) -> None:
        self._batches = batches
        self._starts = [0, *accumulate(batch.num_rows for batch in batches)]
        self._rows = range(self._starts[-1]) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Receipt: ...
    @overload
    def __getitem__(self, index: slice) -> ReceiptTable: ...
    def __getitem__(self, index: int | slice) -> Receipt | ReceiptTable:
        if isinstance(index, slice):
            return ReceiptTable(self._batches, self._rows[index])
        batch, row = self._find(self._rows[index])
        return _receipt([column[row].as_py() for column in self._batches[batch].columns])

    def __iter__(self) -> Iterator[Receipt]:
        return (self[index] for index in range(len(self)))

    def take(self, indexes: Iterable[int]) -> ReceiptTable:
        """The receipts at some places of this table; nothing is copied."""
        return ReceiptTable(self._batches, [self._rows[index] for index in indexes])

    @cached_property
    def keys(self) -> list[str]:
        """The key of each receipt."""
        return [
            receipt_key(image_id, receipt_id)
            for batch in self.batches()
            for image_id, receipt_id in zip(
                batch["image_id"].to_pylist(), batch["receipt_id"].to_pylist(), strict=True
            )
        ]

    def batches(self) -> Iterator[Any]:
        """The receipts in their order as record batches."""
        for number, group in groupby(map(self._find, self._rows), key=lambda place: place[0]):
            rows = [row for _, row in group]
            batch = self._batches[number]
            yield batch if rows == list(range(batch.num_rows)) else batch.take(pa.array(rows))

    def _find(self, row: int) -> tuple[int, int]:
        batch = bisect_right(self._starts, row) - 1
        return batch, row - self._starts[batch]


def as_table(receipts: Sequence[Receipt]) -> ReceiptTable:
    """The table itself, or one in memory of receipts that are no table."""
    return receipts if isinstance(receipts, ReceiptTable) else ReceiptTable(list(to_batches(receipts)))


def take(receipts: Sequence[Receipt], indexes: Iterable[int]) -> Sequence[Receipt]:
    """Some receipts of a sequence, in memory only where they were so before."""
    if isinstance(receipts, ReceiptTable):
        return receipts.take(indexes)
    return tuple(receipts[index] for index in indexes)


def receipt_keys(receipts: Sequence[Receipt]) -> list[str]:
    """The key of each receipt, without making receipts for it."""
    return receipts.keys if isinstance(receipts, ReceiptTable) else [receipt.key for receipt in receipts]


def store_receipts(receipts: Iterable[Receipt], folder: Path | None = None) -> ReceiptTable:
    """Receipts one after the other into a file, which is then mapped; at most `ROWS` are in memory."""
    return store_batches(to_batches(receipts), folder)


def store_batches(batches: Iterable[Any], folder: Path | None = None) -> ReceiptTable:
    """Record batches one after the other into a file in `folder` (or the system's), which is then mapped."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    # The name goes at once and the bytes with the last table that maps them, so no cleanup is needed.
    with tempfile.NamedTemporaryFile(dir=folder, prefix="receipts-", suffix=".arrow") as file:
        with pa.ipc.new_file(file, SCHEMA) as writer:
            for batch in batches:
                writer.write_batch(batch)
        file.flush()
        reader = pa.ipc.open_file(pa.memory_map(file.name))
        return ReceiptTable([reader.get_batch(number) for number in range(reader.num_record_batches)])


def to_batches(receipts: Iterable[Receipt]) -> Iterator[Any]:
    """Receipts as record batches of `ROWS`."""
    remaining = iter(receipts)
    while rows := [_row(receipt) for receipt in islice(remaining, ROWS)]:
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def _row(receipt: Receipt) -> dict[str, Any]:
    words = receipt.words
    return {
        "image_id": receipt.image_id,
        "receipt_id": receipt.receipt_id,
        "merchant": receipt.merchant,
        "line_ids": [word.line_id for word in words],
        "word_ids": [word.word_id for word in words],
        "texts": [word.text for word in words],
        # -0.0 becomes 0.0: they are equal, and equal receipts have one hash.
        "boxes": [edge + 0.0 for word in words for edge in word.box],
        "labels": [word.label for word in words],
    }


def _receipt(row: Sequence[Any]) -> Receipt:
    image_id, receipt_id, merchant, line_ids, word_ids, texts, boxes, labels = row
    edges = iter(boxes)
    # Four times the same iterator: it gives four numbers in turn.
    hulls = zip(edges, edges, edges, edges, strict=True)
    return Receipt(image_id, receipt_id, tuple(map(Word, line_ids, word_ids, texts, hulls, labels)), merchant)
