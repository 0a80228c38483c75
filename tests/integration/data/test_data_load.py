"""Labelled receipts out of the table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receipt_dynamo import DynamoClient, ReceiptDetails, ReceiptWordLabel
from receipt_dynamo.types import Item
from receipt_layoutlm.data.dataset_hash import count_labels
from receipt_layoutlm.data.receipt_table import store_receipts
from receipt_layoutlm.data.record_parser import LoadStatistics, build_receipt
from receipt_layoutlm.data.statistics import read_statistics
from receipt_layoutlm.data.synthetic import generate
from receipt_layoutlm.data.table_loader import keep_labelled, keep_listed, load_receipts
from receipt_layoutlm.data.table_writer import write_records
from run_records.errors import DataError
from run_records.parallel import map_ahead
from tests.support.damage import damage
from tests.support.small_receipts import keys_of, make_receipts
from workers.local_aws.local_stack import LocalStack


@pytest.fixture
def client(stack: LocalStack) -> DynamoClient:
    """A table of the test's own, since it counts what lies there."""
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], endpoint_url=stack.environ["AWS_ENDPOINT_URL"])


def _fill(client: DynamoClient, count: int) -> None:
    write_records(client, generate(count, seed=3))


def _one(client: DynamoClient) -> ReceiptDetails:
    return client.get_image_receipts(client.list_receipt_keys().items[0].image_id).items[0]


def _label(details: ReceiptDetails, name: str, added: str, status: str = "VALID") -> ReceiptWordLabel:
    word = details.words[0]
    return ReceiptWordLabel.from_item(
        ReceiptWordLabel(
            image_id=word.image_id,
            receipt_id=word.receipt_id,
            line_id=word.line_id,
            word_id=word.word_id,
            label=name,
            timestamp_added=added,
            validation_status=status,  # type: ignore[arg-type]
        ).to_item()
    )


def test_every_receipt_is_read_with_one_query_an_image_and_one_for_the_list(client: DynamoClient) -> None:
    _fill(client, 5)
    seen: list[tuple[int, int]] = []
    loaded = load_receipts(client, lambda done, total: seen.append((done, total)))
    assert len(loaded.receipts) == 5
    assert loaded.statistics.requests == 6
    assert keys_of(loaded.receipts) == sorted(keys_of(loaded.receipts))
    assert seen[-1] == (5, 5)
    assert all(0 <= edge <= 1 for receipt in loaded.receipts for word in receipt.words for edge in word.box)


def test_only_valid_labels_train_and_a_receipt_without_any_is_left_out(client: DynamoClient) -> None:
    _fill(client, 2)
    key = client.list_receipt_keys().items[0]
    for label in client.get_image_receipts(key.image_id).items[0].labels:
        client.update_receipt_word_label(replace(label, validation_status="PENDING"))
    loaded = load_receipts(client)
    assert len(loaded.receipts) == 1
    assert loaded.receipts[0].image_id != key.image_id
    assert loaded.statistics.receipts_without_valid_label == 1


def test_of_several_valid_labels_the_newest_counts_then_the_first_by_name(client: DynamoClient) -> None:
    _fill(client, 1)
    details = _one(client)
    old, new = "2025-01-01T00:00:00.000000+00:00", "2025-01-02T00:00:00.000000Z"
    for names, expected in (
        ([("TAX", new), ("DATE", old)], "TAX"),
        ([("TIP", new), ("TAX", new), ("DATE", old)], "TAX"),
    ):
        statistics = LoadStatistics()
        labels = [_label(details, name, added) for name, added in names]
        built = build_receipt(details._replace(labels=labels), statistics)
        assert built.words[0].label == expected
        assert statistics.words_with_several_valid_labels == 1


def test_words_without_text_are_skipped_and_counted(client: DynamoClient) -> None:
    _fill(client, 1)
    details = _one(client)
    words = [replace(details.words[0], text=" "), *details.words[1:]]
    labels = [_label(details, "TAX", "2025-01-01T00:00:00.000000+00:00")]
    statistics = LoadStatistics()
    built = build_receipt(details._replace(words=words, labels=labels), statistics)
    assert len(built.words) == len(details.words) - 1
    assert statistics.words_skipped == 1
    assert statistics.labels_without_word == 1


def test_a_table_without_valid_labels_says_what_to_do(client: DynamoClient) -> None:
    with pytest.raises(DataError, match=r"None of 0 receipts has a word label of status VALID\. Validate"):
        load_receipts(client)
    with pytest.raises(DataError, match="None of 0"):
        keep_labelled([], LoadStatistics())


def test_only_the_images_of_listed_receipts_are_asked_for(client: DynamoClient) -> None:
    _fill(client, 4)
    keys = sorted(f"{key.image_id}#{key.receipt_id:05d}" for key in client.list_receipt_keys().items)
    loaded = load_receipts(client, keys=[keys[2], keys[1], "gone#00001"])
    assert keys_of(loaded.receipts) == keys[1:3]
    assert loaded.statistics.requests == 3
    assert loaded.statistics.receipts_not_found == 1
    with pytest.raises(DataError, match="None of the 1 listed receipts is there"):
        load_receipts(client, keys=[keys[0].replace("#00001", "#00002")])


def test_a_word_and_a_label_that_are_no_whole_records_are_counted_and_do_not_end_the_loading(
    client: DynamoClient, stack: LocalStack
) -> None:
    _fill(client, 1)
    details = _one(client)
    word, label = details.words[0].to_item(), details.labels[-1].to_item()
    word["bottom_left"] = {"M": {"x": {"N": "0.5"}}}
    label["validation_status"] = {"S": "PERHAPS"}
    table, dynamodb = stack.environ["DYNAMO_TABLE_NAME"], stack.client("dynamodb")
    puts = [{"PutRequest": {"Item": item}} for item in (word, label)]
    dynamodb.batch_write_item(RequestItems={table: puts})
    loaded = load_receipts(client)
    assert loaded.statistics.records_unreadable == 2
    assert len(loaded.receipts[0].words) == len(details.words) - 1
    assert sum(count_labels(loaded.receipts).values()) <= len(details.labels) - 1


@pytest.mark.parametrize(
    "change", [{"timestamp_added": {"S": "2024/01/01"}}, {"bottom_left": None}, {"TYPE": None}]
)
def test_a_receipt_whose_own_record_is_damaged_is_left_out_counted_and_named(
    client: DynamoClient, stack: LocalStack, caplog: pytest.LogCaptureFixture, change: Item
) -> None:
    _fill(client, 4)
    key = sorted(client.list_receipt_keys().items)[1]
    damage(stack, client.get_image_receipts(key.image_id).items[0].receipt.key(), **change)
    keys = [f"{one.image_id}#{one.receipt_id:05d}" for one in client.list_receipt_keys().items]
    loaded = load_receipts(client, keys=[*keys, f"{key.image_id}#00001"])
    assert len(loaded.receipts) == 3
    assert loaded.statistics.receipts_unreadable == 1
    [said] = [record.message for record in caplog.records if "left out" in record.message]
    assert key.image_id in said
    assert read_statistics(client).receipts == 3


def test_few_images_are_read_ahead_of_their_turn() -> None:
    begun: list[int] = []

    def call(value: int) -> int:
        begun.append(value)
        return value

    results = map_ahead(call, iter(range(1000)), 2)
    assert next(results) == 0
    assert len(begun) <= 9
    assert [next(results) for _ in range(50)] == list(range(1, 51))
    assert len(begun) <= 59
    results.close()  # type: ignore[attr-defined]
    assert len(begun) <= 59


def test_an_image_that_cannot_be_read_ends_the_reading() -> None:
    begun: list[int] = []

    def call(value: int) -> int:
        begun.append(value)
        if value == 3:
            raise DataError("no")
        return value

    with pytest.raises(DataError, match="no"):
        list(map_ahead(call, range(1000), 2))
    assert len(begun) <= 12


def test_a_receipt_that_comes_twice_is_named() -> None:
    receipts = make_receipts(3)
    with pytest.raises(DataError, match=f"The receipt {receipts[1].key} is there twice"):
        keep_labelled([*receipts, receipts[1]], LoadStatistics())
    with pytest.raises(DataError, match=f"The receipt {receipts[1].key} is there twice"):
        keep_listed([*receipts, receipts[1]])


def test_a_snapshots_receipts_come_in_the_order_of_their_keys_and_those_that_are_listed_alone() -> None:
    receipts = make_receipts(4)
    shuffled = [receipts[place] for place in (2, 0, 3, 1)]
    loaded = keep_listed(shuffled)
    assert list(loaded.receipts) == receipts
    assert loaded.statistics.receipts == 4
    assert loaded.statistics.words == sum(len(receipt.words) for receipt in receipts)
    listed = keep_listed(store_receipts(shuffled), [receipts[3].key, receipts[1].key, "gone#00001"])
    assert list(listed.receipts) == [receipts[1], receipts[3]]
    assert listed.statistics.receipts_not_found == 1
    with pytest.raises(DataError, match="None of the 1 listed receipts"):
        keep_listed(receipts, ["gone#00001"])
