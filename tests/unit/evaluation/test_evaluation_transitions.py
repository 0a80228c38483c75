"""Tag transitions: their counts in training, and their effect on a receipt's tags."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receipt_layoutlm.data.page_layout import PageLayout
from receipt_layoutlm.evaluation.decoding import decode_constrained, transitions
from receipt_layoutlm.tag_transitions import WEIGHT, Transitions, learn_transitions

TAGS = ("O", "B-DATE", "I-DATE")


def page(tags: tuple[int, ...], lines: tuple[int, ...]) -> PageLayout:
    words = len(tags)
    return PageLayout("p", ("a",) * words, ((0, 0, 9, 9),) * words, tags, tuple(range(words)), lines)


# Lines are wholly a date or not at all, and no date goes over to a second line.
LEARNED = learn_transitions([page((0, 0, 1, 2, 0, 0), (0, 0, 1, 1, 2, 2))] * 50, len(TAGS))


def test_a_score_is_the_weighed_log_ratio_of_seen_to_usual() -> None:
    # Behind B-DATE on a line always I-DATE, which is a sixth of all tags.
    assert LEARNED.same_line[1][2] == pytest.approx(WEIGHT * math.log(6), abs=0.1)
    assert LEARNED.same_line[1][0] < -1
    assert LEARNED.next_line[2][0] > 0 > LEARNED.next_line[2][1]
    assert LEARNED.start[0] > 0 > LEARNED.start[1]


def test_what_was_never_seen_weighs_nothing() -> None:
    fresh = learn_transitions([page((0, 0), (0, 0))], len(TAGS))
    assert fresh.next_line[1] == pytest.approx((0, 0, 0), abs=1e-9)


def test_a_word_that_is_unsure_goes_with_its_line() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.55, 0.0, 0.45], [0.9, 0.0, 0.1]])
    assert decode_constrained(probabilities, TAGS) == [0, 1, 0, 0]
    assert decode_constrained(probabilities, TAGS, LEARNED, (0, 1, 1, 2)) == [0, 1, 2, 0]
    assert decode_constrained(probabilities, TAGS, LEARNED, (0, 1, 2, 2)) == [0, 1, 0, 0]


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    words = draw(st.integers(0, 5))
    rows = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).dirichlet([0.5] * 3, words)
    return rows, sorted(draw(st.lists(st.integers(0, 3), min_size=words, max_size=words)))


@settings(deadline=None)
@given(cases())
def test_the_best_sequence_of_all_is_found(case: tuple[np.ndarray, list[int]]) -> None:
    rows, lines = case
    allowed = transitions(TAGS)

    def score(sequence: tuple[int, ...]) -> float:
        if not all(allowed[one][other] for one, other in itertools.pairwise((0, *sequence))):
            return -math.inf
        total = sum(math.log(row[tag]) for row, tag in zip(rows, sequence, strict=True))
        total += LEARNED.start[sequence[0]] if sequence else 0
        for at, (one, other) in enumerate(itertools.pairwise(sequence)):
            total += LEARNED.scores(lines[at] == lines[at + 1])[one, other]
        return total

    best = max(score(sequence) for sequence in itertools.product(range(3), repeat=len(rows)))
    chosen = decode_constrained(rows, TAGS, LEARNED, lines)
    assert score(tuple(chosen)) == pytest.approx(best)


def test_they_survive_being_written_down() -> None:
    assert Transitions.model_validate_json(LEARNED.model_dump_json()) == LEARNED
