"""The frozen receipts of a run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from receipt_layoutlm.data.receipt_table import store_receipts
from receipt_layoutlm.data.snapshot import load_snapshot, save_snapshot
from run_records.errors import DataError
from run_records.s3_store import S3Store
from tests.support.small_receipts import make_receipts

NOWHERE = S3Store([])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshots" / "a.parquet"


def test_a_snapshot_lies_on_a_disk_as_well_and_says_what_is_in_it(path: Path, tmp_path: Path) -> None:
    receipts = make_receipts(3)
    written = save_snapshot(NOWHERE, str(path), receipts, "table t; labels of status VALID")
    found, _ = load_snapshot(NOWHERE, str(path), tmp_path / "work")
    assert list(found) == receipts
    header = json.loads(pq.read_metadata(path).metadata[b"receipt_layoutlm"])
    assert header["schema_version"] == 2
    assert header["content_hash"] == written
    assert header["created_from"] == "table t; labels of status VALID"
    assert header["receipts"] == 3
    assert header["labels"]["MERCHANT_NAME"] == 6


def test_the_same_receipts_give_the_same_bytes_whatever_they_lie_in(path: Path, tmp_path: Path) -> None:
    receipts = make_receipts(6)
    save_snapshot(NOWHERE, str(path), receipts, "table t")
    found, _ = load_snapshot(NOWHERE, str(path))
    for name, form in {"list": receipts, "table": found, "part": found.take(range(6))}.items():
        save_snapshot(NOWHERE, str(tmp_path / name), form, "table t")
        assert (tmp_path / name).read_bytes() == path.read_bytes(), name


def test_row_groups_follow_from_the_receipts_alone(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receipt_layoutlm.data.receipt_table.ROWS", 2)
    receipts = make_receipts(6)
    part = store_receipts(receipts).take([1, 2, 3, 4])
    assert [batch.num_rows for batch in part.batches()] == [1, 2, 1]
    save_snapshot(NOWHERE, str(path), part, "table t")
    save_snapshot(NOWHERE, str(tmp_path / "list"), receipts[1:5], "table t")
    assert path.read_bytes() == (tmp_path / "list").read_bytes()
    found, _ = load_snapshot(NOWHERE, str(path))
    assert list(found) == receipts[1:5]


def test_any_flipped_byte_is_noticed(path: Path) -> None:
    save_snapshot(NOWHERE, str(path), make_receipts(2), "table t")
    whole = path.read_bytes()
    # Every 13th position: all parts of the file in a second.
    for position in [*range(0, len(whole), 13), len(whole) - 1]:
        broken = bytearray(whole)
        broken[position] ^= 0x20
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"a\.parquet is (damaged|not of schema).*Write it again"):
            load_snapshot(NOWHERE, str(path))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_noticed(path: Path, share: float) -> None:
    save_snapshot(NOWHERE, str(path), make_receipts(2), "table t")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(
        DataError, match=r"damaged \(it is no Parquet file of this package\)\. Write it again"
    ):
        load_snapshot(NOWHERE, str(path))


def test_a_snapshot_of_another_schema_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("receipt_layoutlm.data.snapshot.SCHEMA_VERSION", 3)
        save_snapshot(NOWHERE, str(path), make_receipts(2), "a later version")
    with pytest.raises(DataError, match=r"not of schema 2\. Write it again with this version"):
        load_snapshot(NOWHERE, str(path))


def test_a_snapshot_of_json_lines_has_to_be_written_again(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(gzip.compress(b'{"schema_version": 1}\n'))
    with pytest.raises(DataError, match="Write it again"):
        load_snapshot(NOWHERE, str(path))


def test_a_snapshot_whose_receipts_are_not_its_hashes_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("receipt_layoutlm.data.snapshot.hash_receipts", lambda _: "0123")
        save_snapshot(NOWHERE, str(path), make_receipts(2), "a writer with a fault")
    with pytest.raises(DataError, match="its content is not what it says"):
        load_snapshot(NOWHERE, str(path))
