"""Lays out rows of text as a page with OCR noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import asin, cos, radians, sin
from random import Random
from typing import Literal

from receipt_layoutlm.data.receipt_draft import DraftLine, DraftWord, PixelBox, Point, Quad, corners

SLIPS_PER_CHARACTER = 0.015
LOST_OR_DOUBLED = 0.2
SHORTEST_TO_LOSE_FROM = 4
LOOK_ALIKES = {
    "0": "O",
    "O": "0",
    "1": "lI",
    "I": "1l",
    "l": "1I",
    "L": "1",
    "5": "S",
    "S": "5",
    "8": "B",
    "B": "8",
    "2": "Z",
    "Z": "2",
    "6": "G",
    "G": "6",
}


def misread(word: str, random: Random) -> str:
    """The word as text recognition may read it; never empty, mostly unchanged."""
    read = "".join(_misread_character(c, len(word), random) for c in word)
    return read or word


def _misread_character(character: str, word_length: int, random: Random) -> str:
    if random.random() >= SLIPS_PER_CHARACTER:
        return character
    if character in LOOK_ALIKES and random.random() >= LOST_OR_DOUBLED:
        return random.choice(LOOK_ALIKES[character])
    return random.choice(("", character * 2)) if word_length >= SHORTEST_TO_LOSE_FROM else character


def confidence(read: str, printed: str, random: Random) -> float:
    """Confidence of the simulated text recognition, in two decimals; lower for a misread text."""
    lowest, highest = (95, 100) if read == printed else (60, 92)
    return random.randint(lowest, highest) / 100


Side = Literal["left", "centre", "right"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words that share one label; without a label they are captions or decoration."""

    words: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """Texts set side by side; `at` (0..1 of the row's width) is where the cell's `side` stands."""

    texts: tuple[Text, ...]
    side: Side
    at: float

    @property
    def characters(self) -> int:
        """Length with single spaces between the texts."""
        return len(" ".join(text.words for text in self.texts))


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row, left to right; `size` is the letters' size relative to the body."""

    cells: tuple[Cell, ...]
    size: float = 1.0


def left(*texts: Text, at: float = 0.0) -> Cell:
    """Begins at `at`."""
    return Cell(texts, "left", at)


def centre(*texts: Text) -> Cell:
    """Stands in the middle."""
    return Cell(texts, "centre", 0.5)


def right(*texts: Text, at: float = 1.0) -> Cell:
    """Ends at `at`."""
    return Cell(texts, "right", at)


MARGIN = 44.0
CHARACTER_WIDTH = 12.0
LETTER_HEIGHT = 22.0
PITCH = 1.45
"""Distance of baselines in letter heights; above 1, so that rows never touch."""
SECTION_GAP = 0.8
ROW_JITTER = 1.5
WORD_JITTER = 1.0
SHARE_OF_STRAIGHT_PAGES = 0.75
"""Receipts come cropped and straightened; where that went wrong, the rest is skewed."""
SKEW_DEGREES_DEVIATION = 0.4
SKEW_DEGREES_LIMIT = 1.0
INK_SHARE = 0.96
"""Part of a word's advance that its ink covers, so that neighbours do not touch."""


@dataclass(frozen=True, slots=True)
class PrintedPage:
    """The paper, in pixels, and how far it lies turned about its middle."""

    width: int
    height: int
    skew_radians: float

    def turned(self, point: Point) -> Point:
        """The position on the scan of a point of the straight paper."""
        x, y = point[0] - self.width / 2, point[1] - self.height / 2
        c, s = cos(self.skew_radians), sin(self.skew_radians)
        return round(x * c - y * s + self.width / 2, 2), round(x * s + y * c + self.height / 2, 2)

    def turned_box(self, box: PixelBox) -> tuple[PixelBox, Quad]:
        """A straight box on the scan: the smallest upright box around it, and its corners."""
        a, b, c, d = (self.turned(point) for point in corners(box))
        xs, ys = zip(a, b, c, d, strict=True)
        return (min(xs), min(ys), max(xs), max(ys)), (a, b, c, d)


def set_rows(
    sections: Sequence[Sequence[Row]], columns: int, random: Random
) -> tuple[PrintedPage, tuple[DraftLine, ...]]:
    """The page and its lines; between sections there is some room."""
    tops, bottom = _tops(sections)
    page = _page(2 * MARGIN + columns * CHARACTER_WIDTH, bottom + MARGIN, random)
    rows = [row for section in sections for row in section]
    return page, tuple(_set_row(row, top, columns, page, random) for row, top in zip(rows, tops, strict=True))


def _tops(sections: Sequence[Sequence[Row]]) -> tuple[list[float], float]:
    tops, y = [], MARGIN
    for section in sections:
        for row in section:
            tops.append(y)
            y += row.size * LETTER_HEIGHT * PITCH
        y += SECTION_GAP * LETTER_HEIGHT
    return tops, y


def _page(width: float, height: float, random: Random) -> PrintedPage:
    # A long receipt may turn less, or its ends would leave the scan.
    most = min(radians(SKEW_DEGREES_LIMIT), asin(0.8 * MARGIN / (height / 2)))
    straight = random.random() < SHARE_OF_STRAIGHT_PAGES
    skew = 0.0 if straight else radians(random.gauss(0, SKEW_DEGREES_DEVIATION))
    return PrintedPage(round(width), round(height), max(-most, min(most, skew)))


def _set_row(row: Row, top: float, columns: int, page: PrintedPage, random: Random) -> DraftLine:
    top += random.uniform(-ROW_JITTER, ROW_JITTER)
    bottom = top + row.size * LETTER_HEIGHT
    words, quads = [], []
    for text, label, x0, x1 in _placed_words(row, columns):
        shift = random.uniform(-WORD_JITTER, WORD_JITTER)
        box, quad = page.turned_box((x0 + shift, top, x1 + shift, bottom))
        read = misread(text, random)
        words.append(DraftWord(read, box, label, confidence(read, text, random), quad))
        quads.append(quad)
    first, last = quads[0], quads[-1]
    return DraftLine(tuple(words), _hull(words), (first[0], last[1], last[2], first[3]))


def _hull(words: Sequence[DraftWord]) -> PixelBox:
    x0s, y0s, x1s, y1s = zip(*(word.box for word in words), strict=True)
    return min(x0s), min(y0s), max(x1s), max(y1s)


def _placed_words(row: Row, columns: int) -> Iterator[tuple[str, str | None, float, float]]:
    """Word, label, left and right end in pixels on the straight paper, from left to right."""
    advance = CHARACTER_WIDTH * row.size
    width = columns * CHARACTER_WIDTH
    for cell in row.cells:
        before = {"left": 0.0, "centre": 0.5, "right": 1.0}[cell.side]
        x = MARGIN + cell.at * width - before * cell.characters * advance
        for text in cell.texts:
            for word in text.words.split():
                yield word, text.label, x, x + len(word) * advance * INK_SHARE
                x += (len(word) + 1) * advance
