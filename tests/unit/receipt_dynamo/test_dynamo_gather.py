"""An image's items become its receipts, whatever lies between them."""

from __future__ import annotations

import pytest

from receipt_dynamo.entities import ReceiptWord
from receipt_dynamo.operations.receipts import gather_receipts
from receipt_dynamo.skipped import skipped_noted
from receipt_dynamo.types import Item
from tests.integration.receipt_dynamo.test_dynamo_receipts import a_label, a_line, a_receipt, a_word


def items() -> list[Item]:
    records = [
        a_label(2, "TAX", "VALID"),
        a_word(1, 1, 2),
        a_word(1, 1, 1),
        a_line(),
        a_receipt(2),
        a_receipt(1),
    ]
    return [record.to_item() for record in records]


def test_the_order_of_the_items_does_not_matter() -> None:
    found = gather_receipts(items())
    assert found == gather_receipts(items()[::-1])
    assert [details.receipt.receipt_id for details in found.items] == [1, 2]
    assert [word.word_id for word in found.items[0].words] == [1, 2]
    first = found.items[0]
    assert (len(first.lines), len(first.labels), len(first.unreadable)) == (1, 1, 0)


def test_items_of_no_receipt_and_of_other_kinds_are_left_out() -> None:
    orphan = a_word(7).to_item()
    note: Item = {**orphan, "SK": {"S": "RECEIPT#00001#NOTE"}, "TYPE": {"S": "NOTE"}}
    lost: Item = {**orphan, "SK": {"S": "RECEIPT#some"}}
    assert gather_receipts([*items(), orphan, note, lost]) == gather_receipts(items())


@pytest.mark.parametrize(
    "change",
    [
        {"top_left": {"NULL": True}},
        {"text": {"N": "1"}},
        {"confidence": {"N": "NaN"}},
        {"angle_degrees": {"S": "0"}},
    ],
)
def test_a_word_that_is_no_whole_record_is_named_and_the_rest_is_read(change: Item) -> None:
    [attribute] = change
    broken: Item = {**a_word(1, 1, 3).to_item(), **change}
    [first, _] = gather_receipts([*items(), broken]).items
    assert [word.word_id for word in first.words] == [1, 2]
    [error] = first.unreadable
    assert (error.record_type, error.attribute.partition(".")[0]) == (ReceiptWord.TYPE, attribute)


def test_a_word_under_the_key_of_another_one_is_no_whole_record() -> None:
    moved: Item = {**a_word(1, 1, 3).to_item(), "SK": {"S": "RECEIPT#00001#LINE#00009#WORD#3"}}
    [first, _] = gather_receipts([*items(), moved]).items
    assert len(first.unreadable) == 1


@pytest.mark.parametrize(
    "change", [{"width": {"S": "wide"}}, {"timestamp_added": {"S": "2024/01/01"}}, {"top_left": {"M": {}}}]
)
def test_a_receipt_that_is_no_whole_record_is_left_out_with_its_words_and_named(change: Item) -> None:
    [attribute] = change
    broken: Item = {**a_receipt(3).to_item(), **change}
    with skipped_noted() as skipped:
        found = gather_receipts([*items(), broken, a_word(3).to_item()])
    assert found == gather_receipts(items())
    [error] = found.skipped
    assert (error.record_type, error.attribute.partition(".")[0]) == ("RECEIPT", attribute)
    assert "1 item of the table is no whole record and is left out: RECEIPT" in str(skipped)


def test_an_item_that_does_not_say_what_it_is_counts_as_what_its_key_says() -> None:
    word, receipt = (
        {name: value for name, value in record.to_item().items() if name != "TYPE"}
        for record in (a_word(1, 1, 3), a_receipt(3))
    )
    found = gather_receipts([*items(), word, receipt])
    assert [error.record_type for error in found.skipped] == ["RECEIPT"]
    assert [error.record_type for error in found.items[0].unreadable] == ["RECEIPT_WORD"]
    assert [details.receipt.receipt_id for details in found.items] == [1, 2]
