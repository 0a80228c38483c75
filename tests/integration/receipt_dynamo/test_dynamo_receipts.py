from __future__ import annotations

from typing import Any

import pytest

from receipt_dynamo.entities import Image, OCRJob, Receipt, ReceiptLine, ReceiptWord, ReceiptWordLabel
from receipt_dynamo.errors import NotFound

IMAGE_ID = "12345678-1234-4123-8123-123456789012"
OTHER_ID = "22345678-1234-4123-8123-123456789012"
TIME = "2025-11-20T14:46:00.123456+00:00"
POINT = {"x": 0.1, "y": 0.9}
BOX = {"x": 0.1, "y": 0.9, "width": 0.2, "height": 0.03}
CORNERS = dict.fromkeys(("top_left", "top_right", "bottom_left", "bottom_right"), POINT)
RAW = {"raw_s3_bucket": "raw", "raw_s3_key": "k"}
STORED: dict[str, Any] = {"width": 10, "height": 20, "timestamp_added": TIME, **RAW}


def a_receipt(receipt_id: int = 1, image_id: str = IMAGE_ID) -> Receipt:
    given: dict[str, Any] = {"image_id": image_id, "receipt_id": receipt_id, **STORED, **CORNERS}
    return Receipt(**given)


def placed(receipt_id: int, line_id: int) -> dict[str, Any]:
    where = {"image_id": IMAGE_ID, "receipt_id": receipt_id, "line_id": line_id, "bounding_box": BOX}
    return where | CORNERS | {"text": "TOTAL", "angle_degrees": 0.0, "angle_radians": 0.0, "confidence": 0.97}


def a_line(receipt_id: int = 1, line_id: int = 1) -> ReceiptLine:
    return ReceiptLine(**placed(receipt_id, line_id))


def a_word(receipt_id: int = 1, line_id: int = 1, word_id: int = 1) -> ReceiptWord:
    return ReceiptWord(word_id=word_id, **placed(receipt_id, line_id))


def a_label(word_id: int, label: str, status: Any, receipt_id: int = 1) -> ReceiptWordLabel:
    return ReceiptWordLabel(
        image_id=IMAGE_ID,
        receipt_id=receipt_id,
        line_id=1,
        word_id=word_id,
        label=label,
        timestamp_added=TIME,
        validation_status=status,
    )


def fill(dynamo: Any) -> None:
    dynamo.add_images([Image(image_id=IMAGE_ID, image_type="PHOTO", receipt_count=2, **STORED)])
    dynamo.add_receipts([a_receipt(1), a_receipt(2), a_receipt(1, OTHER_ID)])
    dynamo.add_receipt_lines([a_line(1), a_line(2), a_line(3)])
    dynamo.add_receipt_words([a_word(1, 1, n) for n in range(1, 41)] + [a_word(2), a_word(3)])
    dynamo.add_receipt_word_labels(
        [a_label(1, "TAX", "VALID"), a_label(2, "TAX", "INVALID"), a_label(3, "DATE", "VALID")]
    )
    job = OCRJob(image_id=IMAGE_ID, job_id=OTHER_ID, s3_bucket="b", s3_key="k", created_at=TIME)
    dynamo.add_ocr_job(job)


def test_a_receipt_comes_with_its_lines_words_and_labels_in_one_query(dynamo: Any) -> None:
    fill(dynamo)
    before = dynamo.request_count
    details = dynamo.get_receipt_details(IMAGE_ID, 1)
    assert dynamo.request_count - before == 1
    assert details.receipt == a_receipt(1)
    assert details.lines == [a_line(1)]
    assert details.words == [a_word(1, 1, n) for n in range(1, 41)]
    assert [label.label for label in details.labels] == ["TAX", "TAX", "DATE"]


def test_the_receipts_of_an_image_come_in_one_query_without_orphaned_words(dynamo: Any) -> None:
    fill(dynamo)
    receipts = dynamo.get_image_receipts(IMAGE_ID).items
    assert [details.receipt.receipt_id for details in receipts] == [1, 2]
    assert [len(details.words) for details in receipts] == [40, 1]


def test_a_receipt_that_is_not_there_is_named(dynamo: Any) -> None:
    with pytest.raises(NotFound, match=f"Receipt 7 of image {IMAGE_ID} does not exist"):
        dynamo.get_receipt_details(IMAGE_ID, 7)


def test_the_words_of_a_receipt_come_in_the_order_of_their_ids(dynamo: Any) -> None:
    fill(dynamo)
    words = dynamo.list_receipt_words_from_receipt(IMAGE_ID, 1).items
    assert [word.word_id for word in words] == list(range(1, 41))


def test_receipts_are_listed_counted_and_named(dynamo: Any) -> None:
    fill(dynamo)
    keys = {(IMAGE_ID, 1), (IMAGE_ID, 2), (OTHER_ID, 1)}
    assert {(found.image_id, found.receipt_id) for found in dynamo.list_receipts().items} == keys
    assert set(dynamo.list_receipt_keys().items) == keys
    assert len(dynamo.list_receipt_keys(limit=2).items) == 2
    assert dynamo.count_receipts() == 3


def test_labels_are_listed_by_status_and_counted_by_category(dynamo: Any) -> None:
    fill(dynamo)
    valid = dynamo.list_receipt_word_labels_with_status("VALID").items
    assert [label.label for label in valid] == ["TAX", "DATE"]
    counts = dynamo.count_labels_by_category_and_status()
    assert counts == {"TAX": {"VALID": 1, "INVALID": 1}, "DATE": {"VALID": 1}}


def test_what_other_software_added_to_an_item_survives_an_update(dynamo: Any, raw_dynamo: Any) -> None:
    dynamo.add_receipt_word(a_word())
    theirs = {":theirs": {"SS": ["a"]}}
    raw_dynamo.update_item(
        TableName=dynamo.table_name,
        Key=a_word().key(),
        UpdateExpression="SET theirs = :theirs",
        ExpressionAttributeValues=theirs,
    )
    dynamo.update_receipt_word(a_word())
    item = raw_dynamo.get_item(TableName=dynamo.table_name, Key=a_word().key())["Item"]
    assert item["theirs"] == {"SS": ["a"]}
