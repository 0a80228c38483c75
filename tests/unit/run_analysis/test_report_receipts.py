"""Receipts drawn: words at their places, and what the model said told apart by more than colour."""

from __future__ import annotations

import pytest

from run_analysis.report.receipt_drawings import KINDS, WIDTH, draw_receipt, kind_of
from run_records.predictions_json import ReceiptPrediction, WordPrediction
from tests.support.runs import make_detail, make_predictions

Box = tuple[float, float, float, float]
MARGINS = 52


def word(text: str, box: Box = (0.1, 0.1, 0.3, 0.12), gold: str = "O", said: str = "O") -> WordPrediction:
    return WordPrediction(
        line_id=1, word_id=1, text=text, box=box, gold=gold, predicted=said, confidence=0.75
    )


def receipt(*words: WordPrediction) -> ReceiptPrediction:
    return ReceiptPrediction(key="an-image#00001", words=words)


def test_what_is_printed_on_top_is_drawn_on_top() -> None:
    # The table counts y from the bottom: the head of a receipt has the largest.
    drawn = draw_receipt(receipt(word("HEAD", (0.4, 0.9, 0.6, 0.95)), word("FOOT", (0.4, 0.05, 0.6, 0.1))))
    head, foot = drawn.words
    assert head.y < foot.y
    assert foot.y + foot.height <= drawn.height
    assert head.x == foot.x


@pytest.mark.parametrize(
    ("gold", "said", "kind"),
    [
        ("O", "O", "plain"),
        ("B-DATE", "B-DATE", "right"),
        ("B-DATE", "I-TAX", "wrong"),
        ("I-DATE", "O", "missed"),
        ("O", "B-TAX", "invented"),
        ("B-DATE", "I-DATE", "boundary"),
    ],
)
def test_a_word_is_right_or_wrong_in_its_own_way(gold: str, said: str, kind: str) -> None:
    assert kind_of(word("1", gold=gold, said=said)) == kind


def test_each_kind_has_a_mark_of_its_own() -> None:
    assert len({mark for mark, _ in KINDS.values()}) == len(KINDS)


def test_wrong_words_are_numbered_in_reading_order() -> None:
    drawn = draw_receipt(
        receipt(
            word("A", gold="B-TAX"),
            word("B", gold="B-TAX", said="B-TAX"),
            word("C"),
            word("D", said="B-DATE"),
        )
    )
    assert [(one.number, one.text, one.mark) for one in drawn.wrong] == [(1, "A", "−1"), (2, "D", "+2")]  # noqa: RUF001 - the mark
    assert drawn.words[1].says == "B-TAX (0.75)"
    assert drawn.wrong[0].says == "O (0.75), truly B-TAX"


def test_the_paper_is_as_tall_as_makes_its_print_look_like_print() -> None:
    # The same print on paper of half the width: its characters take twice the share of the width.
    slim = draw_receipt(receipt(word("0123456789", (0.0, 0.9, 0.5, 0.92)), word("x" * 20, (0, 0, 1, 0.02))))
    broad = draw_receipt(receipt(word("0123456789", (0.0, 0.9, 0.25, 0.92)), word("x" * 40, (0, 0, 1, 0.02))))
    assert slim.height - broad.height == pytest.approx((slim.height - MARGINS) / 2)


def test_a_receipt_of_one_word_and_one_without_words_can_be_drawn() -> None:
    assert draw_receipt(receipt()).words == ()
    [lone] = draw_receipt(receipt(word("x", (0.5, 0.5, 0.5, 0.5)))).words
    assert lone.width >= 1
    assert lone.height >= 1


def test_boxes_outside_of_the_receipt_are_inside_of_the_picture() -> None:
    drawn = draw_receipt(receipt(word("out", (-0.4, 1.2, -0.1, 1.3)), word("in", (0.8, 0.1, 1.7, 0.2))))
    for one in drawn.words:
        assert 0 <= one.x <= one.x + one.width <= drawn.width
        assert 0 <= one.y <= one.y + one.height <= drawn.height


def test_a_word_of_a_thousand_characters_is_cut_off() -> None:
    [long] = draw_receipt(receipt(word("x" * 1000))).words
    assert len(long.text) == 121
    assert long.text.endswith("…")


def test_a_whole_receipt_keeps_to_its_width_and_counts_its_faults() -> None:
    for one in make_predictions(make_detail()).receipts:
        drawn = draw_receipt(one)
        assert drawn.width == WIDTH + MARGINS
        assert len(drawn.wrong) == one.wrong_words
