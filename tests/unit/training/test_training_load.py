"""Labelled receipts out of the table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receipt_dynamo import DynamoClient, ReceiptDetails, ReceiptWordLabel
from receipt_layoutlm.data.load import LoadStatistics, build_receipt, keep_labelled, load_receipts
from receipt_layoutlm.data.store import write_records
from receipt_layoutlm.data.synthetic import generate
from receipt_layoutlm.errors import DataError
from tests.unit.training.conftest import keys_of
from workers.local import LocalStack


@pytest.fixture
def client(stack: LocalStack) -> DynamoClient:
    """A table of the test's own, since it counts what lies there."""
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], endpoint_url=stack.environ["AWS_ENDPOINT_URL"])


def _fill(client: DynamoClient, count: int) -> None:
    write_records(client, generate(count, seed=3))


def _one(client: DynamoClient) -> ReceiptDetails:
    return client.get_image_receipts(client.list_receipt_keys().items[0].image_id)[0]


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
    for label in client.get_image_receipts(key.image_id)[0].labels:
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
