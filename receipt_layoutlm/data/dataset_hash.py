"""Content hash and counts of a data set."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from receipt_layoutlm.data.receipt_table import SCHEMA, as_table
from receipt_layoutlm.data.receipts import Receipt


def hash_receipts(receipts: Sequence[Receipt]) -> str:
    """SHA-256 of receipts in their order, in hex; names the data of a run.

    Each column is two streams of bytes: how long its entries are (-1 where there is none), and their values,
    little end first. So it does not matter into which batches the receipts are divided.
    """
    streams: dict[str, Any] = {}
    for batch in as_table(receipts).batches():
        for name, column in zip(SCHEMA.names, batch.columns, strict=True):
            _feed(streams, name, column)
    digests = (f"{name} {stream.hexdigest()}\n" for name, stream in sorted(streams.items()))
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def count_labels(receipts: Sequence[Receipt]) -> dict[str, int]:
    """Words of each label, by name."""
    counts: Counter[str] = Counter()
    for batch in as_table(receipts).batches():
        for entry in pc.value_counts(batch["labels"].flatten().drop_null()).to_pylist():
            counts[entry["values"]] += entry["counts"]
    return dict(sorted(counts.items()))


def count_words(receipts: Sequence[Receipt]) -> int:
    """Words of all receipts."""
    return sum(len(batch["texts"].flatten()) for batch in as_table(receipts).batches())


def _feed(streams: dict[str, Any], name: str, column: Any) -> None:
    if pa.types.is_list(column.type):
        _update(streams, f"{name}.length", pc.list_value_length(column))
        _feed(streams, f"{name}.element", column.flatten())
    elif pa.types.is_string(column.type):
        _update(streams, f"{name}.length", pc.fill_null(pc.binary_length(column), -1))
        _update(streams, name, _characters(pc.fill_null(column, "")))
    else:
        _update(streams, name, column)


def _characters(column: Any) -> Any:
    """The bytes of all texts, one after the other."""
    if not len(column):  # which may have no buffers
        return pa.array([], pa.uint8())
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    whole = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
    return pa.array(whole[ends[0] : ends[-1]])


def _update(streams: dict[str, Any], name: str, column: Any) -> None:
    streams.setdefault(name, hashlib.sha256()).update(column.to_numpy().data)
