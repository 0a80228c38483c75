"""A receipt as a page: normalised boxes, lines, reading order, tags."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from receipt_layoutlm.data.receipts import Box, Receipt, Word
from run_records.labels import OUTSIDE_ID, LabelSet

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


# Words whose boxes share so much of the lower one's height stand on one line.
_SHARED_HEIGHT = 0.5


def number_lines(words: Sequence[Word], boxes: Sequence[ModelBox]) -> list[int]:
    """The line of each word, counted from 0.

    Where all words have one line id, as those of a source that knows no lines, geometry decides.
    """
    numbers = {line_id: number for number, line_id in enumerate(sorted({word.line_id for word in words}))}
    if len(numbers) > 1:
        return [numbers[word.line_id] for word in words]
    return lines_by_height(boxes)


def lines_by_height(boxes: Sequence[ModelBox]) -> list[int]:
    """The line of each box: from the lowest up, one that shares half its height with a line joins it."""
    lines = [0] * len(boxes)
    number, bottom, top = -1, 0, -1
    for index in sorted(range(len(boxes)), key=lambda index: (boxes[index][1] + boxes[index][3], index)):
        _, low, _, high = boxes[index]
        shared = min(high, top) - max(low, bottom)
        if number >= 0 and shared >= _SHARED_HEIGHT * max(min(high - low, top - bottom), 1):
            bottom, top = min(low, bottom), max(high, top)
        else:
            number, bottom, top = number + 1, low, high
        lines[index] = number
    return lines


def merge_boxes(lines: Sequence[int], boxes: Sequence[ModelBox]) -> list[ModelBox]:
    """For each word the box of its whole line."""
    hulls: dict[int, ModelBox] = {}
    for line, (x0, y0, x1, y1) in zip(lines, boxes, strict=True):
        a, b, c, d = hulls.get(line, (x0, y0, x1, y1))
        hulls[line] = min(a, x0), min(b, y0), max(c, x1), max(d, y1)
    return [hulls[line] for line in lines]


def words_by_line(lines: Sequence[int], boxes: Sequence[ModelBox]) -> list[list[int]]:
    """The words of each line from left to right; lines as the clients read, by the least (y0, x0)."""
    found: dict[int, list[int]] = {}
    for index, line in enumerate(lines):
        found.setdefault(line, []).append(index)
    ordered = [sorted(words, key=lambda index: (boxes[index][0], index)) for words in found.values()]
    return sorted(ordered, key=lambda words: min((boxes[index][1], boxes[index][0]) for index in words))


@dataclass(frozen=True, slots=True)
class PageLayout:
    """One entry a word: `texts`, `boxes`, `tags` (ids), `order` (index into the receipt's words), `lines`.

    `lines` counts the printed lines; words of one line have the same number.
    """

    key: str
    texts: tuple[str, ...]
    boxes: tuple[ModelBox, ...]
    tags: tuple[int, ...]
    order: tuple[int, ...]
    lines: tuple[int, ...] = ()

    @property
    def entity_words(self) -> int:
        """Words that carry a label of the run."""
        return sum(tag != OUTSIDE_ID for tag in self.tags)


def lay_out(receipt: Receipt, labels: LabelSet) -> PageLayout:
    """Put a receipt into reading order; BIO comes after merging and ordering, over the words as read."""
    boxes = normalise_boxes([word.box for word in receipt.words])
    order = reading_order(receipt.words, boxes)
    lines = number_lines(receipt.words, boxes)
    return PageLayout(
        key=receipt.key,
        texts=tuple(receipt.words[index].text for index in order),
        boxes=tuple(boxes[index] for index in order),
        tags=tuple(labels.tag_ids(receipt.words[index].label for index in order)),
        order=tuple(order),
        lines=tuple(lines[index] for index in order),
    )


def lay_out_all(receipts: Sequence[Receipt], labels: LabelSet) -> list[PageLayout]:
    """The pages of receipts, in their order."""
    return [lay_out(receipt, labels) for receipt in receipts]
