"""Scores are seqeval's, to the last bit, and say which words were taken for what."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from receipt_layoutlm.evaluation.decoding import strict_spans
from receipt_layoutlm.evaluation.entity_scores import confuse, count_entities, rate, score_tags
from run_records.labels import LabelSet

LABELS = LabelSet(("DATE", "TAX", "GRAND_TOTAL"), MappingProxyType({}))
TAG = st.integers(0, len(LABELS.tags) - 1)
PAGE = st.lists(st.tuples(TAG, TAG), min_size=1, max_size=12)
PAGES = st.lists(PAGE, min_size=1, max_size=5)
Pages = list[list[tuple[int, int]]]


def ids(names: str) -> list[int]:
    return [LABELS.tags.index(name) for name in names.split()]


def sides(pages: Pages) -> tuple[list[list[int]], list[list[int]]]:
    return [[true for true, _ in page] for page in pages], [[said for _, said in page] for page in pages]


def report_of_seqeval(pages: Pages, **mode: Any) -> dict[str, dict[str, float]]:
    gold, predicted = ([[LABELS.tags[tag] for tag in page] for page in side] for side in sides(pages))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is loud about labels that nobody predicted
        report: dict[str, dict[str, float]] = classification_report(
            gold, predicted, output_dict=True, zero_division=0, **mode
        )
    return report


def has_entity(pages: Pages) -> bool:
    # Without any true or predicted entity seqeval's strict mode has nothing to build its table from.
    gold, predicted = sides(pages)
    tags = [[LABELS.tags[tag] for tag in page] for page in (*gold, *predicted)]
    return any(strict_spans(page) for page in tags)


@settings(max_examples=300, deadline=None)
@given(PAGES)
def test_overall_and_per_label_scores_are_those_of_seqevals_default_mode(pages: Pages) -> None:
    report = report_of_seqeval(pages) if any(tag for page in pages for pair in page for tag in pair) else {}
    scores = score_tags(LABELS, *sides(pages))
    expected = report.get("micro avg", {})
    assert scores.f1 == expected.get("f1-score", 0)
    assert scores.precision == expected.get("precision", 0)
    assert scores.recall == expected.get("recall", 0)
    for name, ours in scores.per_label.items():
        theirs = report.get(name, {})
        assert (ours.f1, ours.precision, ours.recall, ours.support) == (
            theirs.get("f1-score", 0),
            theirs.get("precision", 0),
            theirs.get("recall", 0),
            theirs.get("support", 0),
        )


@settings(max_examples=300, deadline=None)
@given(PAGES.filter(has_entity))
def test_strict_scores_are_those_of_seqevals_strict_mode_with_iob2(pages: Pages) -> None:
    report = report_of_seqeval(pages, mode="strict", scheme=IOB2)
    assert score_tags(LABELS, *sides(pages)).f1_strict == report["micro avg"]["f1-score"]
    counts = count_entities(LABELS, *sides(pages), strict_spans)
    for name, row in zip(counts.names, counts.by_label, strict=True):
        theirs = report.get(name, {})
        assert [float(value) for value in rate(row)] == [
            theirs.get(score, 0) for score in ("f1-score", "precision", "recall")
        ]
        assert row[2] == theirs.get("support", 0)


def test_the_two_modes_differ_where_an_entity_begins_with_i() -> None:
    scores = score_tags(LABELS, [ids("B-DATE I-DATE O")], [ids("I-DATE I-DATE O")])
    assert (scores.f1, scores.f1_strict) == (1, 0)


def test_receipts_without_any_entity_score_zero_and_not_nan() -> None:
    scores = score_tags(LABELS, [ids("O O")], [ids("O O")])
    assert (scores.f1, scores.f1_strict, scores.token_accuracy) == (0, 0, 1)
    assert score_tags(LABELS, [[]], [[]]).token_accuracy == 0


def test_rates_are_shares_of_words() -> None:
    scores = score_tags(LABELS, [ids("B-DATE I-DATE O O")], [ids("B-DATE O O O")])
    assert (scores.token_accuracy, scores.entity_prediction_rate, scores.gold_entity_rate) == (
        0.75,
        0.25,
        0.5,
    )


@given(PAGES)
def test_the_confusion_of_words_adds_up_and_leaves_zeros_out(pages: Pages) -> None:
    gold, predicted = sides(pages)
    confusion = confuse(LABELS, gold, predicted)
    assert sum(sum(row.values()) for row in confusion.values()) == sum(len(page) for page in pages)
    assert all(count > 0 for row in confusion.values() for count in row.values())


def test_the_confusion_names_the_true_label_first_and_joins_b_and_i() -> None:
    confusion = confuse(LABELS, [ids("B-DATE I-DATE O")], [ids("I-DATE B-TAX B-TAX")])
    assert confusion == {"O": {"TAX": 1}, "DATE": {"DATE": 1, "TAX": 1}}


@pytest.mark.parametrize("chosen", [[0], [1], [1, 0], []])
def test_counts_of_some_receipts_are_the_counts_of_those_alone(chosen: Sequence[int]) -> None:
    gold = [ids("B-DATE O"), ids("B-TAX I-TAX")]
    said = [ids("B-DATE B-TAX"), ids("B-TAX O")]
    some = count_entities(LABELS, gold, said).of(chosen)
    alone = count_entities(LABELS, [gold[row] for row in chosen], [said[row] for row in chosen])
    assert np.array_equal(some.values, alone.values)
