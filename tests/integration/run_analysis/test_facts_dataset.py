"""Statistics of the table's receipts, compared with receipts whose counts are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import ReceiptWordLabel
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.statistics import read_statistics
from receipt_layoutlm.data.table_loader import load_receipts
from receipt_layoutlm.data.table_writer import write_records
from run_analysis.dataset_statistics import DatasetStatistics
from run_records.labels import CORE_LABELS


@pytest.fixture
def filled(client: DynamoClient) -> DynamoClient:
    write_records(client, synthetic.generate(6, 3))
    return client


def test_the_counts_are_those_that_training_reads(filled: DynamoClient) -> None:
    found, loaded = read_statistics(filled), load_receipts(filled).receipts
    words = [word for receipt in loaded for word in receipt.words]
    assert found.receipts == found.receipts_labelled == len(loaded) == 6
    assert found.words == len(words)
    assert found.words_labelled == sum(word.label is not None for word in words)
    assert {one.label: one.words for one in found.labels if one.words} == {
        name: sum(word.label == name for word in words)
        for name in CORE_LABELS
        if any(word.label == name for word in words)
    }
    for one in found.labels:
        assert one.receipts == sum(
            any(word.label == one.label for word in receipt.words) for receipt in loaded
        )
        assert one.words >= one.entities >= one.receipts
    assert sum(one.share for one in found.labels) == pytest.approx(1)
    assert {one.label for one in found.labels} >= set(CORE_LABELS)


def test_merchants_cover_every_labelled_receipt_once(filled: DynamoClient) -> None:
    found = read_statistics(filled)
    assert sum(one.receipts for one in found.merchants) + found.receipts_without_merchant == 6
    assert sum(one.labelled_words for one in found.merchants) == found.words_labelled
    assert found.merchants_known == len(found.merchants) > 0


def test_the_rarest_label_is_held_against_the_most_frequent(filled: DynamoClient) -> None:
    found = read_statistics(filled)
    words = [one.words for one in found.labels if one.words]
    assert found.imbalance == max(words) / min(words)


def a_word(client: DynamoClient) -> tuple[DynamoClient, ReceiptWordLabel]:
    return client, client.list_receipt_word_labels_with_status("VALID", limit=1).items[0]


def after(client: DynamoClient, **changes: object) -> DatasetStatistics:
    """The statistics after one more label was given to a word that has one."""
    client, label = a_word(client)
    client.add_receipt_word_label(replace(label, **changes))  # type: ignore[arg-type]
    return read_statistics(client)


def test_a_word_with_two_valid_labels_is_named_with_the_one_that_counts_first(filled: DynamoClient) -> None:
    _, label = a_word(filled)
    other = next(name for name in CORE_LABELS if name != label.label)
    found = after(filled, label=other, timestamp_added="2099-01-01T00:00:00.000000+00:00")
    assert found.words_in_conflict == 1
    [conflict] = found.conflicts
    assert conflict.labels == (other, label.label)
    assert (conflict.line_id, conflict.word_id) == (label.line_id, label.word_id)
    assert conflict.text


def test_labels_are_counted_by_status_and_only_valid_ones_are_learned(filled: DynamoClient) -> None:
    before = read_statistics(filled)
    _, label = a_word(filled)
    other = next(name for name in CORE_LABELS if name != label.label)
    found = after(filled, label=other, validation_status="INVALID")
    assert found.words_in_conflict == 0
    statistics, earlier = found.label(other), before.label(other)
    assert statistics is not None
    assert earlier is not None
    assert statistics.by_status["INVALID"] == 1
    assert statistics.words == earlier.words


def test_a_label_that_nobody_learns_is_named(filled: DynamoClient) -> None:
    found = after(filled, label="BARCODE", validation_status="VALID", timestamp_added="2000-01-01T00:00:00Z")
    assert found.labels_unknown == {"BARCODE": 1}
    assert found.label("BARCODE") is None


@pytest.mark.parametrize(
    ("corner", "fault"),
    [
        ({"x": 1.5, "y": 0.5}, "boxes_out_of_range"),
        ({"x": -0.1, "y": 0.5}, "boxes_out_of_range"),
    ],
)
def test_a_box_that_leaves_the_receipt_is_counted(
    filled: DynamoClient, corner: dict[str, float], fault: str
) -> None:
    key = filled.list_receipt_keys().items[0]
    word = filled.list_receipt_words_from_receipt(key.image_id, key.receipt_id).items[0]
    filled.update_receipt_word(replace(word, top_right=corner))  # type: ignore[arg-type]
    assert getattr(read_statistics(filled), fault) == 1


def test_an_empty_word_and_one_without_area_are_counted(filled: DynamoClient) -> None:
    key = filled.list_receipt_keys().items[0]
    first, second = filled.list_receipt_words_from_receipt(key.image_id, key.receipt_id).items[:2]
    filled.update_receipt_word(replace(first, text=" "))
    filled.update_receipt_word(replace(second, top_right=second.top_left, bottom_right=second.bottom_left))
    found = read_statistics(filled)
    assert (found.words_without_text, found.boxes_without_area) == (1, 1)


def test_an_empty_table_has_nothing_and_says_so(client: DynamoClient) -> None:
    found = read_statistics(client)
    assert (found.receipts, found.imbalance, found.merchants) == (0, None, ())


def test_each_image_is_read_by_one_query_and_told(filled: DynamoClient) -> None:
    told: list[tuple[int, int]] = []
    found = read_statistics(filled, lambda done, in_all: told.append((done, in_all)))
    assert told == [(number, found.images) for number in range(1, found.images + 1)]
    assert found.requests <= found.images + 2
