"""Tags of a receipt's words from their probabilities, and the entities that they make."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.evaluation.decoding import (
    Probabilities,
    decode_constrained,
    decode_plain,
    label_of,
    spans,
    transitions,
)
from run_records.labels import resolve_labels

LABELS = resolve_labels(Hyperparameters())
TAGS = ("O", "B-DATE", "I-DATE", "B-TAX", "I-TAX")


@st.composite
def pages(draw: st.DrawFn, most: int = 4) -> Probabilities:
    words = draw(st.integers(1, most))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).dirichlet([0.5] * len(TAGS), words)


def is_valid(sequence: tuple[int, ...] | list[int]) -> bool:
    names = ["O", *(TAGS[tag] for tag in sequence)]
    return all(
        now == "O" or now.startswith("I-") == (label_of(before) == label_of(now))
        for before, now in itertools.pairwise(names)
    )


@given(st.lists(st.sampled_from([None, "DATE", "TIME", "TAX"]), max_size=30))
def test_the_tags_that_training_makes_are_valid(words: list[str | None]) -> None:
    made = [LABELS.tags[tag] for tag in LABELS.tag_ids(words)]
    allowed = transitions(LABELS.tags)
    numbers = [0, *(LABELS.tags.index(tag) for tag in made)]
    assert all(allowed[before][now] for before, now in itertools.pairwise(numbers))


@settings(deadline=None)
@given(pages())
def test_the_constrained_tags_are_the_most_probable_of_all_valid_sequences(page: Probabilities) -> None:
    valid = [one for one in itertools.product(range(len(TAGS)), repeat=len(page)) if is_valid(one)]
    best = max(math.prod(row[tag] for row, tag in zip(page, one, strict=True)) for one in valid)
    chosen = decode_constrained(page, TAGS)
    assert is_valid(chosen)
    assert math.prod(row[tag] for row, tag in zip(page, chosen, strict=True)) == pytest.approx(best)


@given(pages(most=40))
def test_where_the_plain_tags_are_valid_the_constrained_ones_are_the_same(page: Probabilities) -> None:
    plain = decode_plain(page, TAGS)
    assert plain == [int(row.argmax()) for row in page]
    assert not is_valid(plain) or decode_constrained(page, TAGS) == plain
    assert is_valid(decode_constrained(page, TAGS))


@given(pages(most=12))
def test_the_published_table_is_all_that_is_needed_to_decode_likewise(page: Probabilities) -> None:
    allowed = np.array(transitions(TAGS), dtype=bool)
    scores, steps = np.where(allowed[TAGS.index("O")], np.log(page[0]), -np.inf), []
    for row in page[1:]:
        candidates = np.where(allowed, scores[:, None], -np.inf)
        steps.append(candidates.argmax(axis=0))
        scores = candidates.max(axis=0) + np.log(row)
    path = [int(scores.argmax())]
    for step in reversed(steps):
        path.append(int(step[path[-1]]))
    assert path[::-1] == decode_constrained(page, TAGS)


def test_an_end_without_a_beginning_is_mended_by_what_is_most_probable() -> None:
    lone_end = np.array([[0.1, 0.3, 0.6, 0.0, 0.0]])
    assert [TAGS[tag] for tag in decode_constrained(lone_end, TAGS)] == ["B-DATE"]
    unlikely_beginning = np.array([[0.35, 0.05, 0.6, 0.0, 0.0]])
    assert [TAGS[tag] for tag in decode_constrained(unlikely_beginning, TAGS)] == ["O"]


def test_certain_and_impossible_tags_are_decoded_too() -> None:
    page = np.array([[0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]])
    assert is_valid(decode_constrained(page, TAGS))
    assert decode_constrained(np.zeros((0, len(TAGS))), TAGS) == []
    assert decode_plain(np.zeros((0, len(TAGS))), TAGS) == []


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_entities_are_what_the_scores_count(tags: list[str]) -> None:
    theirs = [(label, start, end + 1) for label, start, end in get_entities(tags)]
    assert spans(tags) == theirs


@pytest.mark.parametrize(
    ("tag", "label"), [("B-DATE", "DATE"), ("I-UNIT-PRICE", "UNIT-PRICE"), ("O", None), ("B-", None)]
)
def test_the_label_of_a_tag(tag: str, label: str | None) -> None:
    assert label_of(tag) == label
