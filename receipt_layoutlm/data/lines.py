"""Finds the printed lines of a receipt: by the ids that OCR gave its lines, else by where its words stand."""

from __future__ import annotations

from collections.abc import Sequence

from receipt_layoutlm.data.geometry import ModelBox
from receipt_layoutlm.data.receipts import Word

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
