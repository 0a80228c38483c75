"""A table's receipts go on being read where an attempt that was killed has left off."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from receipt_dynamo import DynamoClient, ReceiptDetails, ResultPage
from receipt_dynamo.operations.receipts import ReceiptKey, gather_receipts
from receipt_layoutlm.data import table_loader as load
from receipt_layoutlm.data.load_checkpoint import LoadCheckpoint
from receipt_layoutlm.data.synthetic import generate
from receipt_layoutlm.data.table_loader import LoadedReceipts, load_receipts
from receipt_layoutlm.data.table_writer import image_id_of, to_records
from run_records.errors import NetworkError
from run_records.s3_store import S3Store
from tests.support.small_receipts import keys_of

IMAGES = 7
RECORDS = {
    image_id_of(draft): [record.to_item() for record in to_records(draft)]
    for draft in generate(IMAGES, seed=2)
}
for _items in RECORDS.values():  # a word on each that nobody can read, to be counted
    next(item for item in _items if item["TYPE"]["S"] == "RECEIPT_WORD")["text"] = {"S": " "}


class Table:
    """As much of a table's client as loading asks for; its network is gone after so many images."""

    request_count = 0

    def __init__(self, images: int = IMAGES) -> None:
        self._left = images
        self.read: list[str] = []

    def list_receipt_keys(self) -> ResultPage[ReceiptKey]:
        return ResultPage([ReceiptKey(image, 1) for image in RECORDS], None)

    def get_image_receipts(self, image_id: str) -> ResultPage[ReceiptDetails]:
        self._left -= 1
        if self._left < 0:
            raise NetworkError("gone")
        self.read.append(image_id)
        return gather_receipts(RECORDS[image_id])


def read(table: Table, parts: LoadCheckpoint | None = None, **options: Any) -> LoadedReceipts:
    return load_receipts(cast("DynamoClient", table), parts=parts, **options)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "IMAGES_PER_PART", 2)


@pytest.fixture
def prefix(bucket: str) -> str:
    return f"s3://{bucket}/runs/a/loading/"


def facts(loaded: LoadedReceipts) -> dict[str, int]:
    return {**loaded.statistics.to_dict(), "requests": 0}


def break_off(storage: S3Store, prefix: str) -> None:
    """An attempt that has read five of seven images, and has left two parts of two."""
    with pytest.raises(NetworkError, match="gone"):
        read(Table(5), LoadCheckpoint(storage, prefix, go_on=False), threads=1)


def test_the_next_attempt_reads_only_what_is_missing_and_has_the_same_receipts(
    storage: S3Store, prefix: str, tmp_path: Path
) -> None:
    whole = read(Table())
    assert whole.statistics.words_skipped == IMAGES
    break_off(storage, prefix)
    client = Table()
    seen: list[int] = []
    parts = LoadCheckpoint(storage, prefix, go_on=True)
    loaded = read(client, parts, on_image=lambda done, _: seen.append(done), folder=tmp_path)
    assert list(loaded.receipts) == list(whole.receipts)
    assert facts(loaded) == facts(whole)
    assert sorted(client.read) == [receipt.image_id for receipt in whole.receipts[4:]]
    assert seen == [5, 6, 7]
    again = Table()
    read(again, LoadCheckpoint(storage, prefix, go_on=True))
    assert len(again.read) == 1, "the parts of the second attempt count as well"


def test_the_first_attempt_takes_nothing_that_lies_there(storage: S3Store, prefix: str) -> None:
    break_off(storage, prefix)
    client = Table()
    read(client, LoadCheckpoint(storage, prefix, go_on=False))
    assert len(client.read) == IMAGES


@pytest.mark.parametrize(
    "damage", ["receipts gone", "receipts cut", "note of another part", "note cut", "unknown count"]
)
def test_a_part_that_is_not_whole_is_read_again(storage: S3Store, prefix: str, damage: str) -> None:
    whole = read(Table())
    break_off(storage, prefix)
    note, receipts = f"{prefix}part-00001.json", f"{prefix}part-00001.parquet"
    body, first = storage.read(note) or b"", storage.read(f"{prefix}part-00000.json") or b""
    if damage == "receipts gone":
        storage.client.delete_object(Bucket=storage.place(receipts).bucket, Key=storage.place(receipts).key)
    elif damage == "receipts cut":
        storage.write(receipts, (storage.read(receipts) or b"")[:-9])
    else:
        bodies = {
            "note of another part": first,
            "note cut": body[:-9],
            "unknown count": body.replace(b'"words"', b'"worlds"'),
        }
        storage.write(note, bodies[damage])
    client = Table()
    loaded = read(client, LoadCheckpoint(storage, prefix, go_on=True))
    assert list(loaded.receipts) == list(whole.receipts)
    assert facts(loaded) == facts(whole)
    assert len(client.read) == 5


def test_a_small_table_leaves_no_parts(
    storage: S3Store, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "IMAGES_PER_PART", IMAGES + 1)
    client = Table()
    loaded = read(client, LoadCheckpoint(storage, prefix, go_on=False))
    assert keys_of(loaded.receipts) == sorted(keys_of(loaded.receipts))
    assert storage.list_keys(prefix) == {}
