"""The frozen receipts of a run."""

from __future__ import annotations

import gzip

import pytest

from receipt_layoutlm.data.snapshot import count_labels, hash_receipts, load_snapshot, save_snapshot
from receipt_layoutlm.errors import DataError
from receipt_layoutlm.storage import Storage
from tests.unit.training.conftest import make_receipts


@pytest.fixture
def uri(bucket: str) -> str:
    return f"s3://{bucket}/snapshots/a.gz"


def test_a_snapshot_gives_back_the_same_receipts_and_their_hash(storage: Storage, uri: str) -> None:
    receipts = make_receipts(3)
    written = save_snapshot(storage, uri, receipts, "table t")
    assert load_snapshot(storage, uri) == (receipts, written)
    assert written == hash_receipts(receipts)
    assert count_labels(receipts)["MERCHANT_NAME"] == 6


def test_the_same_receipts_give_the_same_bytes(storage: Storage, uri: str) -> None:
    save_snapshot(storage, uri, make_receipts(3), "table t")
    first = storage.read(uri)
    save_snapshot(storage, uri, make_receipts(3), "table t")
    assert storage.read(uri) == first


@pytest.mark.parametrize("position", [0.3, 0.6, 0.9])
def test_a_flipped_byte_is_noticed(storage: Storage, uri: str, position: float) -> None:
    save_snapshot(storage, uri, make_receipts(3), "table t")
    body = bytearray(storage.read(uri) or b"")
    body[int(len(body) * position)] ^= 0x20
    storage.write(uri, bytes(body))
    with pytest.raises(DataError, match="damaged"):
        load_snapshot(storage, uri)


def test_changed_content_in_a_whole_file_is_noticed(storage: Storage, uri: str) -> None:
    save_snapshot(storage, uri, make_receipts(3), "table t")
    text = gzip.decompress(storage.read(uri) or b"")
    storage.write(uri, gzip.compress(text.replace(b"Milk", b"Silk")))
    with pytest.raises(DataError, match="its content is not what it says"):
        load_snapshot(storage, uri)


def test_a_snapshot_of_another_schema_or_none_is_refused(storage: Storage, uri: str) -> None:
    with pytest.raises(DataError, match="There is no snapshot"):
        load_snapshot(storage, uri)
    storage.write(uri, gzip.compress(b'{"schema_version": 2}\n'))
    with pytest.raises(DataError, match="not of schema 1"):
        load_snapshot(storage, uri)
