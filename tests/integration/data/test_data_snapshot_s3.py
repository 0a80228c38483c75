"""Snapshots in S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from receipt_layoutlm.data.dataset_hash import hash_receipts
from receipt_layoutlm.data.snapshot import load_snapshot, save_snapshot
from run_records.errors import DataError
from run_records.s3_store import S3Store
from tests.support.small_receipts import make_receipts


def test_a_snapshot_gives_back_the_same_receipts_and_their_hash(storage: S3Store, bucket: str) -> None:
    receipts, uri = make_receipts(3), f"s3://{bucket}/snapshots/a.parquet"
    written = save_snapshot(storage, uri, receipts, "table t")
    found, content_hash = load_snapshot(storage, uri)
    assert list(found) == receipts
    assert content_hash == written == hash_receipts(receipts)


def test_a_missing_snapshot_is_named(storage: S3Store, bucket: str, tmp_path: Path) -> None:
    for place in (f"s3://{bucket}/gone.parquet", str(tmp_path / "a.parquet")):
        with pytest.raises(DataError, match=f"There is no snapshot {place}"):
            load_snapshot(storage, place)
