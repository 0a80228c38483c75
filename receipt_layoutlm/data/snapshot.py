"""Freezes the receipts of a run in one object, so that another run trains on exactly the same ones."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.errors import DataError
from receipt_layoutlm.storage import Storage

SCHEMA_VERSION = 1


def save_snapshot(storage: Storage, uri: str, receipts: Sequence[Receipt], created_from: str) -> str:
    """Write receipts as gzipped JSON lines below a header; returns their content hash.

    Args:
        storage: where the bucket is allowed.
        uri: key of the snapshot.
        receipts: what to freeze.
        created_from: what the receipts were read from, for people.
    """
    lines = [_write_receipt(receipt) for receipt in receipts]
    header = {
        "schema_version": SCHEMA_VERSION,
        "content_hash": _hash(lines),
        "created_from": created_from,
        "receipts": len(receipts),
        "labels": count_labels(receipts),
    }
    body = "\n".join([json.dumps(header, sort_keys=True), *lines]) + "\n"
    # No time in the header: the same receipts give the same bytes.
    storage.write(uri, gzip.compress(body.encode(), mtime=0), content_type="application/gzip")
    return str(header["content_hash"])


def load_snapshot(storage: Storage, uri: str) -> tuple[list[Receipt], str]:
    """Read a snapshot; returns the receipts and their content hash.

    Raises:
        DataError: it is missing, damaged, or of another schema.
    """
    body = storage.read(uri)
    if body is None:
        raise DataError(
            f"There is no snapshot {uri}. Write it with dataset_snapshot_save, or correct the name."
        )
    try:
        header_line, *lines = gzip.decompress(body).decode().splitlines()
        header = json.loads(header_line)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"The snapshot {uri} is damaged ({error}). Write it again.") from error
    if not isinstance(header, dict) or header.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"The snapshot {uri} is not of schema {SCHEMA_VERSION}. Write it again with this version."
        )
    if header.get("content_hash") != _hash(lines):
        raise DataError(f"The snapshot {uri} is damaged: its content is not what it says. Write it again.")
    return [_read_receipt(json.loads(line)) for line in lines], str(header["content_hash"])


def hash_receipts(receipts: Sequence[Receipt]) -> str:
    """SHA-256 of what a snapshot of these receipts would hold; names the data of a run."""
    return _hash([_write_receipt(receipt) for receipt in receipts])


def count_labels(receipts: Sequence[Receipt]) -> dict[str, int]:
    """Words of each label, by name."""
    counts = Counter(word.label for receipt in receipts for word in receipt.words if word.label)
    return dict(sorted(counts.items()))


def _hash(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _write_receipt(receipt: Receipt) -> str:
    words = [[word.line_id, word.word_id, word.text, *word.box, word.label] for word in receipt.words]
    return json.dumps([receipt.image_id, receipt.receipt_id, receipt.merchant, words], separators=(",", ":"))


def _read_receipt(data: Any) -> Receipt:
    image_id, receipt_id, merchant, words = data
    return Receipt(
        image_id,
        receipt_id,
        tuple(
            Word(line_id, word_id, text, (x0, y0, x1, y1), label)
            for line_id, word_id, text, x0, y0, x1, y1, label in words
        ),
        merchant,
    )
