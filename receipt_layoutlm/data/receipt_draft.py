"""A receipt before it is written to the table; boxes in pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PixelBox = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; the origin is the top left corner."""

Point = tuple[float, float]
"""x, y in pixels; the origin is the top left corner."""

Quad = tuple[Point, Point, Point, Point]
"""Top left, top right, bottom right, bottom left."""


@dataclass(frozen=True, slots=True)
class DraftWord:
    """One word; `quad` is given only where the word is rotated, so that its corners are not its box's."""

    text: str
    box: PixelBox
    label: str | None = None
    confidence: float = 1.0
    quad: Quad | None = None


@dataclass(frozen=True, slots=True)
class DraftLine:
    """The words of one printed line, from left to right; never empty."""

    words: tuple[DraftWord, ...]
    box: PixelBox
    quad: Quad | None = None

    @property
    def text(self) -> str:
        """The words joined by single spaces."""
        return " ".join(word.text for word in self.words)

    @property
    def confidence(self) -> float:
        """The mean confidence of the words."""
        return sum(word.confidence for word in self.words) / len(self.words)


@dataclass(frozen=True, slots=True)
class DraftReceipt:
    """One receipt that fills its image of `width` x `height` pixels.

    `source` and `key` name it for good: they decide its image id, so a second import overwrites the first.
    """

    source: str
    key: str
    width: int
    height: int
    lines: tuple[DraftLine, ...]
    labelled_by: str
    merchant: str | None = None

    @property
    def words(self) -> Iterator[DraftWord]:
        """Every word, line by line."""
        return (word for line in self.lines for word in line.words)


def corners(box: PixelBox, quad: Quad | None = None) -> Quad:
    """The four corners of a word or line: the quad it carries, else those of its box."""
    x0, y0, x1, y1 = box
    return quad or ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
