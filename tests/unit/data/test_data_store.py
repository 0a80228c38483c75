"""Drafts on their way into the table: geometry, ids, and batches."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt_dynamo import Image, Receipt, ReceiptLine, ReceiptWord, ReceiptWordLabel, Throttled
from receipt_dynamo.client import DynamoClient
from receipt_dynamo.entities import Record
from receipt_layoutlm.data.receipt_draft import DraftLine, DraftReceipt, DraftWord, PixelBox
from receipt_layoutlm.data.synthetic import generate
from receipt_layoutlm.data.table_writer import place, to_records, write_records

TIMESTAMP = "2025-11-20T14:46:00.123456+00:00"


def draft_of(*words: DraftWord, width: int = 200, height: int = 400) -> DraftReceipt:
    lines = tuple(DraftLine((word,), word.box, word.quad) for word in words)
    return DraftReceipt("sroie", "X1", width, height, lines, "sroie-import", "SHOP")


def of_kind(records: list[Record], kind: type[Record]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def test_a_box_is_counted_from_the_bottom_in_the_table() -> None:
    placed = place(draft_of(), DraftWord("A", (50, 100, 150, 120)))
    assert placed["bounding_box"] == {"x": 0.25, "y": 0.7, "width": 0.5, "height": 0.05}
    assert placed["top_left"] == {"x": 0.25, "y": 0.75}
    assert placed["bottom_right"] == {"x": 0.75, "y": 0.7}
    assert placed["angle_degrees"] == 0


def test_a_word_that_rises_to_the_right_has_a_positive_angle() -> None:
    word = DraftWord("A", (50, 90, 150, 120), quad=((50, 100), (150, 90), (150, 110), (50, 120)))
    placed = place(draft_of(), word)
    assert placed["angle_degrees"] == pytest.approx(5.7106, abs=1e-4)
    assert placed["top_right"]["y"] > placed["top_left"]["y"]


@given(
    st.tuples(st.floats(0, 99), st.floats(0, 199), st.floats(100, 200), st.floats(200, 400)),
)
def test_the_tables_geometry_leads_back_to_the_pixels(box: PixelBox) -> None:
    placed = place(draft_of(), DraftWord("A", box))["bounding_box"]
    x0, bottom = placed["x"] * 200, (1 - placed["y"]) * 400
    back = (x0, bottom - placed["height"] * 400, x0 + placed["width"] * 200, bottom)
    assert back == pytest.approx(box, abs=1e-4)
    assert all(0 <= value <= 1 for value in cast("dict[str, float]", placed).values())


def test_a_draft_becomes_one_image_one_receipt_and_its_lines_words_and_labels() -> None:
    draft = draft_of(DraftWord("SHOP", (1, 2, 30, 14), "MERCHANT_NAME"), DraftWord("TEL", (1, 20, 30, 34)))
    records = to_records(draft, TIMESTAMP)
    (image,), (receipt,) = of_kind(records, Image), of_kind(records, Receipt)
    assert (image.receipt_count, image.raw_s3_key, image.width) == (1, "sroie/X1.jpg", 200)
    assert (receipt.receipt_id, receipt.top_left, receipt.bottom_right) == (
        1,
        {"x": 0.0, "y": 1.0},
        {"x": 1.0, "y": 0.0},
    )
    assert [(line.line_id, line.text) for line in of_kind(records, ReceiptLine)] == [(1, "SHOP"), (2, "TEL")]
    words = of_kind(records, ReceiptWord)
    assert [(word.line_id, word.word_id, word.embedding_status) for word in words] == [
        (1, 1, "NONE"),
        (2, 1, "NONE"),
    ]
    (label,) = of_kind(records, ReceiptWordLabel)
    assert (label.line_id, label.word_id, label.label) == (1, 1, "MERCHANT_NAME")
    assert (label.validation_status, label.label_proposed_by, label.timestamp_added) == (
        "VALID",
        "sroie-import",
        TIMESTAMP,
    )


def test_the_same_draft_becomes_the_same_items() -> None:
    (draft,) = generate(1, 9)
    first, second = to_records(draft, TIMESTAMP), to_records(draft, TIMESTAMP)
    assert [record.to_item() for record in first] == [record.to_item() for record in second]


def test_the_source_is_part_of_the_image_id() -> None:
    ids = set()
    for source in ("sroie", "synthetic"):
        draft = DraftReceipt(source, "X1", 10, 10, (), "test")
        ids.add(of_kind(to_records(draft), Image)[0].image_id)
    assert len(ids) == 2


def test_every_record_of_a_synthetic_receipt_is_read_back_from_its_item() -> None:
    for draft in generate(5, 2):
        for record in to_records(draft, TIMESTAMP):
            assert type(record).from_item(record.to_item()) == record


@pytest.mark.parametrize(("given_confidence", "stored"), [(1.0, 1.0), (0.987, 0.99), (0.001, 0.01)])
def test_confidence_has_two_decimals_and_is_above_zero(given_confidence: float, stored: float) -> None:
    records = to_records(draft_of(DraftWord("A", (1, 2, 3, 4), confidence=given_confidence)))
    assert of_kind(records, ReceiptWord)[0].confidence == stored


class Batches:
    """Takes the place of boto3's client and keeps what is written."""

    def __init__(self, failing_after: int | None = None) -> None:
        self.meta = SimpleNamespace(endpoint_url="http://test")
        self.items: dict[tuple[str, str], Any] = {}
        self.sizes: list[int] = []
        self._failing_after = failing_after
        self._lock = Lock()

    def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:  # noqa: N803
        with self._lock:
            if self._failing_after is not None and len(self.sizes) >= self._failing_after:
                raise Throttled("slow down")
            (requests,) = RequestItems.values()
            self.sizes.append(len(requests))
            for item in (request["PutRequest"]["Item"] for request in requests):
                self.items[item["PK"]["S"], item["SK"]["S"]] = item
        return {}


def client_of(batches: Batches) -> DynamoClient:
    return DynamoClient("receipts", client=cast("Any", batches))


def test_all_records_are_written_and_counted_by_kind() -> None:
    batches = Batches()
    counts = write_records(client_of(batches), generate(25, 1), timestamp=TIMESTAMP)
    assert counts["IMAGE"] == counts["RECEIPT"] == 25
    assert counts["RECEIPT_WORD"] == sum(1 for draft in generate(25, 1) for _ in draft.words)
    assert counts == Counter(item["TYPE"]["S"] for item in batches.items.values())
    assert max(batches.sizes) <= 25


def test_writing_twice_leaves_the_same_items() -> None:
    batches = Batches()
    write_records(client_of(batches), generate(3, 1), timestamp=TIMESTAMP)
    once = dict(batches.items)
    write_records(client_of(batches), generate(3, 1), timestamp=TIMESTAMP)
    assert batches.items == once


def test_progress_counts_receipts_up_to_all() -> None:
    told: list[int] = []
    write_records(client_of(Batches()), generate(25, 1), told.append)
    assert told == sorted(told)
    assert told[-1] == 25


def test_after_a_refusal_the_rest_is_not_begun() -> None:
    batches = Batches(failing_after=2)
    with pytest.raises(Throttled):
        write_records(client_of(batches), generate(60, 1), threads=1)
    assert len(batches.sizes) == 2
