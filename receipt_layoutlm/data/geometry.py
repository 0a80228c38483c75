"""The clients' rule for boxes and reading order, so that a model sees in training what it sees in the field.

The clients take the hull of a word's corners; divide an axis by its largest coordinate on the receipt where
that exceeds 1, and leave it alone otherwise; multiply by 1000, round half away from zero, clamp to 0..1000.
They do not flip y: boxes keep the table's origin at the bottom left, and words are read by (y0, x0).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from receipt_layoutlm.data.receipts import Box, Word

BOX_RULE: Final = "clients-1000-bottom-up"
READING_ORDER: Final = "y0-x0"
BOX_SCALE = 1000

ModelBox = tuple[int, int, int, int]
"""x0 <= x1 and y0 <= y1 in 0..1000."""


def hull(corners: Iterable[tuple[float, float]]) -> Box:
    """The smallest axis-aligned box around points (x, y)."""
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def normalise_boxes(boxes: Sequence[Box]) -> list[ModelBox]:
    """The boxes of one whole receipt in 0..1000; a part of a receipt may come out differently."""
    x_scale = _divisor(x for x0, _, x1, _ in boxes for x in (x0, x1))
    y_scale = _divisor(y for _, y0, _, y1 in boxes for y in (y0, y1))
    return [_normalise(box, x_scale, y_scale) for box in boxes]


def reading_order(words: Sequence[Word], boxes: Sequence[ModelBox]) -> list[int]:
    """Indexes of the words as the model reads them: by (y0, x0) of the normalised box, then by their ids."""

    def rank(index: int) -> tuple[int, int, int, int]:
        x0, y0, _, _ = boxes[index]
        return y0, x0, words[index].line_id, words[index].word_id

    return sorted(range(len(words)), key=rank)


def round_half_away(value: float) -> int:
    """Round as Swift's `rounded()` does: 0.5 to 1, -0.5 to -1; Python's own rounds to even."""
    # Not floor(value + 0.5): the sum itself rounds, and turns 0.49999999999999994 into 1.
    whole = math.trunc(value)
    return whole + int(math.copysign(1, value)) if abs(value - whole) >= 0.5 else whole  # noqa: PLR2004


def _divisor(coordinates: Iterable[float]) -> float:
    return max(1.0, max(coordinates, default=1.0))


def _normalise(box: Box, x_scale: float, y_scale: float) -> ModelBox:
    x0, y0, x1, y1 = box
    left, right = sorted((_coordinate(x0, x_scale), _coordinate(x1, x_scale)))
    bottom, top = sorted((_coordinate(y0, y_scale), _coordinate(y1, y_scale)))
    return left, bottom, right, top


def _coordinate(value: float, scale: float) -> int:
    return min(max(round_half_away(value / scale * BOX_SCALE), 0), BOX_SCALE)
