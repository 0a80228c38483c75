"""Boxes and reading order by the clients' rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt_layoutlm.data.page_layout import hull, normalise_boxes, reading_order, round_half_away
from receipt_layoutlm.data.receipts import Word

_BOXES = st.lists(st.tuples(*[st.floats(-0.5, 3)] * 4), min_size=1, max_size=10)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.5, 1), (1.5, 2), (2.5, 3), (-0.5, -1), (-2.5, -3), (0.49999999999999994, 0), (2.4, 2), (-2.4, -2)],
)
def test_halves_round_away_from_zero(value: float, rounded: int) -> None:
    assert round_half_away(value) == rounded


def test_coordinates_up_to_one_are_used_as_they_are_without_a_flip() -> None:
    assert normalise_boxes([(0.1, 0.2, 0.3, 0.4005)]) == [(100, 200, 300, 401)]


def test_an_axis_beyond_one_is_divided_by_its_own_maximum() -> None:
    assert normalise_boxes([(0, 0, 200, 0.5), (100, 0.25, 400, 1.0)]) == [
        (0, 0, 500, 500),
        (250, 250, 1000, 1000),
    ]


def test_corners_in_the_wrong_order_are_put_right() -> None:
    assert normalise_boxes([(0.9, 0.8, 0.1, 0.2)]) == [(100, 200, 900, 800)]


def test_the_hull_of_a_turned_word_holds_all_its_corners() -> None:
    assert hull([(0.2, 0.5), (0.4, 0.6), (0.1, 0.3), (0.3, 0.4)]) == (0.1, 0.3, 0.4, 0.6)


@given(_BOXES)
def test_every_box_is_ordered_and_within_0_to_1000(boxes: list[tuple[float, float, float, float]]) -> None:
    for x0, y0, x1, y1 in normalise_boxes(boxes):
        assert 0 <= x0 <= x1 <= 1000
        assert 0 <= y0 <= y1 <= 1000


def test_words_are_read_by_y0_then_x0_then_their_ids() -> None:
    words = [Word(2, 1, "c", (0, 0, 0, 0)), Word(1, 2, "b", (0, 0, 0, 0)), Word(1, 1, "a", (0, 0, 0, 0))]
    assert reading_order(words, [(5, 5, 9, 9), (5, 5, 9, 9), (9, 1, 9, 9)]) == [2, 1, 0]
