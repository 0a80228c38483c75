"""Malformed data in the table: it is counted, and never ends a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from messages.hyperparameters import Hyperparameters
from messages.options.encoding import EncodingOptions
from receipt_dynamo import Receipt as ReceiptRecord
from receipt_dynamo import ReceiptDetails, ReceiptLine, ReceiptWord, ReceiptWordLabel
from receipt_layoutlm.checkpoint import build_tokenizer
from receipt_layoutlm.data.encoder import Encoder
from receipt_layoutlm.data.examples import EncodedPages
from receipt_layoutlm.data.page_layout import lay_out
from receipt_layoutlm.data.receipt_draft import DraftLine, DraftReceipt, DraftWord
from receipt_layoutlm.data.receipt_table import store_receipts
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.data.record_parser import LoadStatistics, build_receipt
from receipt_layoutlm.data.table_loader import keep_labelled
from receipt_layoutlm.data.table_writer import to_records
from run_records.errors import DataError
from run_records.labels import OUTSIDE_ID, resolve_labels

LABELS = resolve_labels(Hyperparameters())
ASKED = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,金額合計مجموعל"
ENCODER = Encoder.of(
    build_tokenizer([*ASKED, *CHARACTERS, *(f"##{char}" for char in CHARACTERS)]), EncodingOptions()
)
Corner = dict[str, float]


def details(*texts: str, label: str | None = "DATE") -> ReceiptDetails:
    """A receipt's records, a line for each text, all with a VALID label."""
    lines = tuple(
        DraftLine(
            (DraftWord(text, (10.0, 10.0 * at, 60.0, 10.0 * at + 8), label),),
            (10.0, 10.0 * at, 60.0, 10.0 * at + 8),
        )
        for at, text in enumerate(texts, start=1)
    )
    draft = DraftReceipt("bad", "data", 100, 10 * len(texts) + 20, lines, "test")
    records = to_records(draft)
    [receipt] = [record for record in records if isinstance(record, ReceiptRecord)]
    return ReceiptDetails(
        receipt,
        [record for record in records if isinstance(record, ReceiptLine)],
        [record for record in records if isinstance(record, ReceiptWord)],
        [record for record in records if isinstance(record, ReceiptWordLabel)],
        [],
    )


def build(found: ReceiptDetails, **changes: Any) -> tuple[Receipt, LoadStatistics]:
    """The receipt whose first word was changed."""
    statistics = LoadStatistics()
    words = [replace(found.words[0], **changes), *found.words[1:]]
    return build_receipt(found._replace(words=words), statistics), statistics


def encode(receipt: Receipt) -> EncodedPages:
    return ENCODER.encode([lay_out(receipt, LABELS)])


def corners(x0: float, y0: float, x1: float, y1: float) -> dict[str, Corner]:
    """A word's corners from its left, bottom, right and top."""
    return {
        "top_left": {"x": x0, "y": y1},
        "top_right": {"x": x1, "y": y1},
        "bottom_left": {"x": x0, "y": y0},
        "bottom_right": {"x": x1, "y": y0},
    }


def all_words(encoded: EncodedPages) -> list[int]:
    return sorted({word for example in encoded.examples for word in example.words})


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u3000", "\u00a0"])
def test_a_word_without_text_is_left_out_and_its_label_counted(text: str) -> None:
    receipt, statistics = build(details("a", "b"), text=text)
    assert [word.text for word in receipt.words] == ["b"]
    assert (statistics.words_skipped, statistics.labels_without_word) == (1, 1)


@pytest.mark.parametrize("edge", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("corner", ["top_left", "top_right", "bottom_left", "bottom_right"])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_word_with_any_corner_that_is_no_finite_number_is_left_out(
    edge: float, corner: str, axis: str
) -> None:
    place = {**corners(0.1, 0.1, 0.2, 0.2)[corner], axis: edge}
    receipt, statistics = build(details("a", "b"), **{corner: place})
    assert [word.text for word in receipt.words] == ["b"]
    assert statistics.words_skipped == 1


@pytest.mark.parametrize("box", [(0.1, 0.1, 0.1, 0.2), (0.1, 0.1, 0.2, 0.1), (0.1, 0.1, 0.1, 0.1)])
def test_a_box_without_area_is_kept_as_the_clients_keep_it_and_counted(
    box: tuple[float, float, float, float],
) -> None:
    receipt, statistics = build(details("a", "b"), **corners(*box))
    assert receipt.words[0].box == box
    assert statistics.boxes_without_area == 1
    assert all_words(encode(receipt)) == [0, 1]


@pytest.mark.parametrize("size", [(-0.5, -0.6), (0.5, -0.6), (-0.5, 0.6)])
def test_an_inverted_box_is_put_right_and_counted(size: tuple[float, float]) -> None:
    width, height = size
    inverted = {
        **corners(
            0.6 if width < 0 else 0.1,
            0.8 if height < 0 else 0.2,
            0.1 if width < 0 else 0.6,
            0.2 if height < 0 else 0.8,
        ),
        "bounding_box": {"x": 0.1, "y": 0.2, "width": width, "height": height},
    }
    receipt, statistics = build(details("a", "b"), **inverted)
    assert receipt.words[0].box == (0.1, 0.2, 0.6, 0.8)
    assert statistics.boxes_inverted == 1
    assert statistics.words_skipped == 0
    assert (100, 200, 600, 800) in lay_out(receipt, LABELS).boxes


def test_the_worst_box_that_the_table_can_hold_becomes_one_that_the_model_takes() -> None:
    receipt, _ = build(details("a", "b", "c"), **corners(-9e125, 0.1, 9e125, 0.2))
    for box in lay_out(receipt, LABELS).boxes:
        assert 0 <= box[0] <= box[2] <= 1000
        assert 0 <= box[1] <= box[3] <= 1000


def test_a_receipt_of_one_word_becomes_one_example_with_that_word() -> None:
    receipt, _ = build(details("7"))
    [example] = encode(receipt).examples
    assert example.words == [0]
    assert example.tags == [LABELS.tags.index("B-DATE")]


def test_a_receipt_whose_every_word_is_left_out_is_left_out_itself() -> None:
    receipt, statistics = build(details("a"), text=" ")
    other, _ = build(details("b"))
    kept = keep_labelled([receipt, replace(other, receipt_id=2)], statistics)
    assert [one.receipt_id for one in kept.receipts] == [2]
    assert statistics.receipts_without_valid_label == 1


@pytest.mark.parametrize("unit", ["receipt", "line", "lines:5"])
def test_no_word_of_five_thousand_is_lost(unit: str) -> None:
    words = tuple(
        Word(
            1 + at // 7,
            1 + at % 7,
            f"w{at % 83}.{at}",
            (at % 7 / 7, 1 - at / 5000, at % 7 / 7 + 0.1, 1 - at / 5000),
            "DATE",
        )
        for at in range(5000)
    )
    [receipt] = store_receipts([Receipt("i", 1, words)])
    assert receipt.words == words
    encoder = Encoder.of(ENCODER.tokenizer, EncodingOptions(example_unit=unit))
    encoded = encoder.encode([lay_out(receipt, LABELS)])
    assert all_words(encoded) == list(range(5000))
    assert max(len(example.input_ids) for example in encoded.examples) <= 512


SCRIPTS = {
    "Arabic": ["مجموع", "٣٤٫٥٠", "شكرًا"],  # noqa: RUF001 - as it is printed
    "Hebrew": ["סה״כ", "לתשלום", "₪42.00"],
    "Chinese": ["合計金額", "¥1,280", "ありがとう"],
    "mixed": ["Total:مجموع", "合計 total", "🧾🧾", "e\u0301", "\u202e123"],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_text_of_any_script_is_kept_to_the_letter_and_each_word_keeps_its_place(script: str) -> None:
    texts = SCRIPTS[script]
    receipt, statistics = build(details(*texts))
    assert [word.text for word in receipt.words] == texts
    assert statistics.words_skipped == 0
    assert list(store_receipts([receipt])) == [receipt]
    page = lay_out(receipt, LABELS)
    [example] = encode(receipt).examples
    assert [page.texts[word] for word in example.words] == list(page.texts)
    assert len(set(example.firsts)) == len(texts)
    assert all(tag != OUTSIDE_ID for tag in example.tags)


def test_chinese_characters_are_tokens_of_their_own_inside_one_word() -> None:
    receipt, _ = build(details("合計金額"))
    [example] = encode(receipt).examples
    names = ENCODER.tokenizer.convert_ids_to_tokens(example.input_ids)
    assert names == ["[CLS]", "合", "計", "金", "額", "[SEP]"]
    assert example.firsts == [1]


def test_a_label_outside_the_vocabulary_is_counted_and_learned_as_none() -> None:
    receipt, statistics = build(details("a", "b", label="SHOE_SIZE"))
    assert statistics.words_with_unknown_label == 2
    assert set(lay_out(receipt, LABELS).tags) == {OUTSIDE_ID}
    assert [word.label for word in receipt.words] == ["SHOE_SIZE", "SHOE_SIZE"]


def test_a_receipt_without_any_label_is_left_out_and_counted() -> None:
    receipt, statistics = build(details("a", "b", label=None))
    labelled, _ = build(details("c"))
    kept = keep_labelled([receipt, replace(labelled, receipt_id=2)], statistics)
    assert [one.receipt_id for one in kept.receipts] == [2]
    assert statistics.receipts_without_valid_label == 1
    with pytest.raises(DataError, match="None of 1 receipts has a word label of status VALID"):
        keep_labelled([receipt], LoadStatistics())


def test_words_come_in_the_order_of_their_ids_whatever_order_they_are_read_in() -> None:
    found = details("a", "b", "c")

    def texts(words: Sequence[ReceiptWord]) -> list[str]:
        receipt = build_receipt(found._replace(words=list(words)), LoadStatistics())
        return [word.text for word in receipt.words]

    assert texts(found.words) == texts(found.words[::-1]) == ["a", "b", "c"]
