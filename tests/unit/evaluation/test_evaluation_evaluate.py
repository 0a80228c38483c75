"""The results of one evaluation: both decodings, scores by merchant, and the tables behind them."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest

from receipt_layoutlm.data.examples import EncodedPages
from receipt_layoutlm.data.page_layout import PageLayout
from receipt_layoutlm.evaluation.bootstrap import compare_f1
from receipt_layoutlm.evaluation.evaluate import Evaluation, HeldOut, Seen, assess
from receipt_layoutlm.evaluation.predict import Predictions
from run_records.labels import LabelSet

LABELS = LabelSet(("DATE", "TAX"), MappingProxyType({}))
GOLD = ("B-DATE I-DATE O", "B-TAX O O", "B-DATE O O")
SAID = ("I-DATE I-DATE O", "O O O", "B-DATE O O")


def tag(name: str) -> int:
    return LABELS.tags.index(name)


def page(names: str, number: int) -> PageLayout:
    words = names.split()
    nothing = ("",) * len(words)
    boxes = ((0, 0, 0, 0),) * len(words)
    return PageLayout(str(number), nothing, boxes, tuple(map(tag, words)), tuple(range(len(words))))


def probabilities(names: str) -> np.ndarray:
    """Sure of the tags, with a second thought of what may begin an entity."""
    rows = np.full((len(names.split()), len(LABELS.tags)), 0.01)
    for row, name in zip(rows, names.split(), strict=True):
        row[tag(name)] = 0.6
        row[tag(name.replace("I-", "B-"))] += 0.3
    return rows


def assessed(seen: Seen = ()) -> Evaluation:
    pages = tuple(page(names, number) for number, names in enumerate(GOLD))
    said = Predictions(tuple(probabilities(names) for names in SAID), 0.5)
    return assess(HeldOut(LABELS, EncodedPages(pages, (), 0), seen), said)


def test_argmax_and_constrained_decoding_are_scored_side_by_side() -> None:
    result = assessed()
    assert (result.scores.f1, result.scores.f1_strict) == (0.8, 0.5)
    # Constrained, the lone I-DATE becomes B-DATE, so both modes of counting agree.
    assert result.constrained.f1 == result.constrained.f1_strict == 0.8
    assert result.scores.token_accuracy < result.constrained.token_accuracy
    assert result.interval.low <= 0.8 <= result.interval.high


def test_seen_and_unseen_merchants_are_scored_apart_and_unknown_ones_in_neither() -> None:
    result = assessed((True, False, None))
    assert {name: (one.f1, one.receipts, one.support) for name, one in result.by_merchant.items()} == {
        "seen": (1, 1, 1),
        "unseen": (0, 1, 1),
    }
    assert assessed((None, True, True)).by_merchant.keys() == {"seen"}
    assert assessed().by_merchant == {}


def test_the_counts_say_for_each_receipt_what_was_found() -> None:
    result = assessed()
    assert result.counts.by_receipt.tolist() == [[1, 1, 1], [0, 0, 1], [1, 1, 1]]
    assert compare_f1(result.constrained_counts, result.counts).difference == 0


def test_the_confusion_is_of_the_tags_that_clients_show() -> None:
    assert assessed().confusion == {"O": {"O": 5}, "DATE": {"DATE": 3}, "TAX": {"O": 1}}


def test_a_page_and_its_predictions_have_to_fit() -> None:
    held_out = HeldOut(LABELS, EncodedPages((page(GOLD[0], 0),), (), 0))
    with pytest.raises(ValueError, match="zip"):
        assess(held_out, Predictions((), 0.5))
