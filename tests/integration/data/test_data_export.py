"""Labelled receipts out of the table's export to S3."""

from __future__ import annotations

import gzip
import json
import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from receipt_dynamo import DynamoClient, ReceiptWord
from receipt_dynamo.types import Item
from receipt_layoutlm.data.dynamo_export import load_export
from receipt_layoutlm.data.synthetic import generate
from receipt_layoutlm.data.table_loader import LoadedReceipts, load_receipts
from receipt_layoutlm.data.table_writer import to_records, write_records
from run_records.errors import DataError
from run_records.s3_store import S3Store
from tests.support.exports import export_items, write_manifests
from tests.support.small_receipts import keys_of
from workers.local_aws.local_stack import LocalStack, MotoServer

FIRST = "data/f0000.json.gz"


@pytest.fixture(scope="module")
def table(emulator: MotoServer) -> tuple[LocalStack, DynamoClient]:
    """Seven receipts, one image with a second one, and items that are of no use or no whole records."""
    stack = LocalStack.make(emulator, suffix=f"-export-{uuid.uuid4().hex[:8]}")
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    drafts = list(generate(7, seed=5))
    write_records(client, drafts)
    second = [
        replace(record, receipt_id=2).to_item()  # type: ignore[type-var]
        for record in to_records(drafts[0])
        if record.TYPE in {"RECEIPT", "RECEIPT_WORD", "RECEIPT_WORD_LABEL"}
    ]
    word = next(record for record in to_records(drafts[1]) if isinstance(record, ReceiptWord))
    odd: list[Item] = [
        {**word.to_item(), "top_left": {"NULL": True}},
        {"PK": word.key()["PK"], "SK": {"S": "RECEIPT#00001#NOTE"}, "TYPE": {"S": "NOTE"}},
        {"PK": {"S": "SETTINGS"}, "SK": {"S": "A"}},
    ]
    put_items(stack, [*second, *odd])
    return stack, client


def put_items(stack: LocalStack, items: list[Item]) -> None:
    table, dynamodb = stack.environ["DYNAMO_TABLE_NAME"], stack.client("dynamodb")
    for start in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        assert not dynamodb.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]


@pytest.fixture
def items() -> list[Item]:
    """Two receipts as items."""
    return [record.to_item() for draft in generate(2, seed=6) for record in to_records(draft)]


@pytest.fixture
def whole(storage: S3Store, bucket: str, items: list[Item]) -> str:
    """An export that can be read, to be damaged."""
    prefix = export_items(storage, bucket, items)
    assert len(load_export(storage, prefix).receipts) == 2
    return prefix


def scan(stack: LocalStack) -> list[Item]:
    pages = (
        stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.environ["DYNAMO_TABLE_NAME"])
    )
    return [item for page in pages for item in page["Items"]]


def facts(loaded: LoadedReceipts) -> dict[str, int]:
    return {**loaded.statistics.to_dict(), "requests": 0}


def entries(storage: S3Store, prefix: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (storage.read(prefix + "manifest-files.json") or b"").splitlines()]


def test_an_export_gives_the_very_receipts_and_counts_of_the_table(
    table: tuple[LocalStack, DynamoClient], storage: S3Store, bucket: str, tmp_path: Path
) -> None:
    stack, client = table
    items = scan(stack)
    random.Random(1).shuffle(items)  # noqa: S311 - an order, not a secret
    seen: list[tuple[int, int]] = []
    prefix = export_items(storage, bucket, items)
    exported = load_export(storage, prefix, tmp_path, lambda done, total: seen.append((done, total)))
    queried = load_receipts(client)
    assert list(exported.receipts) == list(queried.receipts)
    assert len(queried.receipts) == 8
    assert facts(exported) == facts(queried)
    assert queried.statistics.records_unreadable == 1
    assert exported.statistics.requests == 0
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert not list(tmp_path.iterdir())


def test_listed_receipts_alone_are_read_from_an_export(
    table: tuple[LocalStack, DynamoClient], storage: S3Store, bucket: str
) -> None:
    stack, client = table
    wanted = keys_of(load_receipts(client).receipts)[2:4]
    prefix = export_items(storage, bucket, scan(stack))
    loaded = load_export(storage, prefix, keys=[*wanted, "gone#00001"])
    assert keys_of(loaded.receipts) == wanted
    assert loaded.statistics.receipts_not_found == 1


def test_an_export_that_was_copied_elsewhere_is_read_where_it_lies(
    storage: S3Store, whole: str, bucket: str
) -> None:
    copy = f"s3://{bucket}/copies/1/"
    for name in storage.list_keys(whole):
        storage.write(copy + name, storage.read(whole + name) or b"")
        storage.client.delete_object(Bucket=bucket, Key=storage.place(whole + name).key)
    assert len(load_export(storage, copy).receipts) == 2


def test_a_missing_file_is_named(storage: S3Store, whole: str, bucket: str) -> None:
    storage.client.delete_object(Bucket=bucket, Key=storage.place(whole + FIRST).key)
    with pytest.raises(DataError, match=r"f0000\.json\.gz is missing\. Export the table again"):
        load_export(storage, whole)


def test_a_file_that_is_not_what_the_manifest_says_is_refused(storage: S3Store, whole: str) -> None:
    body = gzip.decompress(storage.read(whole + FIRST) or b"")
    storage.write(whole + FIRST, gzip.compress(body.replace(b"a", b"e", 1)))
    with pytest.raises(DataError, match=r"f0000\.json\.gz is damaged \(its MD5 is not the manifest's\)"):
        load_export(storage, whole)


@pytest.mark.parametrize("change", ["cut off", "no gzip", "no JSON", "no key"])
def test_a_file_that_was_damaged_before_its_manifest_was_written_is_refused(
    storage: S3Store, bucket: str, items: list[Item], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    real = gzip.compress
    broken: dict[str, Callable[[bytes], bytes]] = {
        "cut off": lambda body: real(body)[:-20],
        "no gzip": lambda body: body + b"\n",
        "no JSON": lambda body: real(body.replace(b"{", b"<", 1)),
        "no key": lambda body: real(body.replace(b'"SK"', b'"SQ"', 1)),
    }
    with monkeypatch.context() as patched:
        patched.setattr(gzip, "compress", broken[change])
        prefix = export_items(storage, bucket, items, files=1)
    with pytest.raises(DataError, match=r"json\.gz is damaged"):
        load_export(storage, prefix)


def test_an_item_that_is_not_there_is_missed(storage: S3Store, whole: str) -> None:
    files = entries(storage, whole)
    files[0]["itemCount"] = int(str(files[0]["itemCount"])) + 1
    write_manifests(storage, whole, files)
    with pytest.raises(
        DataError, match=r"f0000\.json\.gz is damaged \(it has \d+ items and the manifest says"
    ):
        load_export(storage, whole)


def test_a_file_that_is_missing_in_the_manifest_is_missed(storage: S3Store, whole: str) -> None:
    files = entries(storage, whole)
    write_manifests(storage, whole, files[1:], itemCount=sum(int(str(file["itemCount"])) for file in files))
    with pytest.raises(DataError, match="so files are missing there"):
        load_export(storage, whole)


def test_an_item_that_is_there_twice_is_refused(storage: S3Store, bucket: str, items: list[Item]) -> None:
    word = next(item for item in items if item["TYPE"]["S"] == "RECEIPT_WORD")
    prefix = export_items(storage, bucket, [*items, word])
    with pytest.raises(DataError, match=r"has the item IMAGE#.* / RECEIPT#00001#LINE#.* twice"):
        load_export(storage, prefix)


@pytest.mark.parametrize(
    "summary", [{"exportType": "INCREMENTAL_EXPORT"}, {"outputFormat": "ION"}, {"itemCount": None}]
)
def test_another_kind_of_export_is_refused(
    storage: S3Store, bucket: str, items: list[Item], summary: dict[str, object]
) -> None:
    prefix = export_items(storage, bucket, items, files=1, **summary)
    [field] = summary
    with pytest.raises(DataError, match=f"of no full export in DynamoDB JSON: {field}: "):
        load_export(storage, prefix)


def test_an_export_that_is_not_finished_says_so(storage: S3Store, bucket: str) -> None:
    with pytest.raises(DataError, match=r"There is no s3://.*manifest-summary\.json\. Wait until"):
        load_export(storage, f"s3://{bucket}/unfinished/")


def test_an_export_is_read_from_its_own_folder_whatever_its_keys_say(storage: S3Store, whole: str) -> None:
    files = entries(storage, whole)
    files[0]["dataFileS3Key"] = "../../elsewhere/secret.json.gz"
    write_manifests(storage, whole, files)
    with pytest.raises(DataError, match=f"file {whole}data/secret.json.gz is missing"):
        load_export(storage, whole)
