"""Receipts drawn as SVG with their word errors."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from run_records.predictions_json import ReceiptPrediction, WordPrediction

WIDTH = 520
"""Units across the words of a receipt; an SVG scales them to the page."""

OUTSIDE = "O"
PLAIN, RIGHT = "plain", "right"
KINDS = {
    RIGHT: ("✓", "the right label"),
    "wrong": ("≠", "another label than the true one"),
    "missed": ("−", "a label that was not found"),  # noqa: RUF001 - a minus, not a hyphen
    "invented": ("+", "a label where there is none"),
    "boundary": ("¦", "the right label, but begun or continued wrongly"),
}
"""The kinds of reading of a word: its mark and meaning."""

_MARGIN = 26
_CHARACTER = 0.55
"""Width of a printed character for its height, about."""
_TALLEST, _WIDEST = 5.0, 0.7
"""Bounds of a page's height for its width."""
_LEAST = 1e-4
_MOST_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class DrawnWord:
    """A word in units of the SVG, origin top left.

    Attributes:
        kind: one of KINDS, or plain where no label is and none was given.
        number: of its row in the table of wrong words; 0 where it is right.
    """

    x: float
    y: float
    width: float
    height: float
    text: str
    kind: str
    number: int
    gold: str
    predicted: str
    confidence: float

    @property
    def says(self) -> str:
        """The tooltip of the word."""
        said = f"{self.predicted} ({self.confidence:.2f})"
        return said if self.kind == RIGHT else f"{said}, truly {self.gold}"

    @property
    def mark(self) -> str:
        """The sign of its kind, with its number where it is wrong."""
        return f"{KINDS[self.kind][0]}{self.number}"


@dataclass(frozen=True, slots=True)
class DrawnReceipt:
    """One receipt, with the words that are wrong in the order of their numbers."""

    receipt: ReceiptPrediction
    width: float
    height: float
    words: tuple[DrawnWord, ...]
    wrong: tuple[DrawnWord, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """The part of the receipt that has words, and how it is scaled."""

    left: float
    top: float
    across: float
    along: float
    height: float

    def place(self, word: WordPrediction) -> tuple[float, float, float, float]:
        """x, y, width, height; the table counts y from the bottom, a picture from the top."""
        x0, y0, x1, y1 = word.box
        x, y = (x0 - self.left) / self.across * WIDTH, (self.top - y1) / self.along * self.height
        width, height = (x1 - x0) / self.across * WIDTH, (y1 - y0) / self.along * self.height
        return x + _MARGIN, y + _MARGIN, max(width, 1.0), max(height, 1.0)


def draw_receipt(receipt: ReceiptPrediction) -> DrawnReceipt:
    """Place the words of a receipt, and number those that are wrong from 1 on."""
    page = _page_of(receipt)
    words: list[DrawnWord] = []
    numbered = 0
    for word in receipt.words:
        kind = kind_of(word)
        numbered += (wrong := kind not in {PLAIN, RIGHT})
        x, y, width, height = page.place(word)
        text = word.text if len(word.text) <= _MOST_CHARACTERS else f"{word.text[:_MOST_CHARACTERS]}…"
        words.append(
            DrawnWord(
                x=x,
                y=y,
                width=width,
                height=height,
                text=text,
                kind=kind,
                number=numbered if wrong else 0,
                gold=word.gold,
                predicted=word.predicted,
                confidence=word.confidence,
            )
        )
    wrong_words = tuple(word for word in words if word.number)
    size = (WIDTH + 2 * _MARGIN, page.height + 2 * _MARGIN)
    return DrawnReceipt(receipt, *size, words=tuple(words), wrong=wrong_words)


def kind_of(word: WordPrediction) -> str:
    """The kind of reading of a word."""
    if word.gold == word.predicted:
        return PLAIN if word.gold == OUTSIDE else RIGHT
    if word.predicted == OUTSIDE:
        return "missed"
    if word.gold == OUTSIDE:
        return "invented"
    return "boundary" if word.gold[2:] == word.predicted[2:] else "wrong"


def _page_of(receipt: ReceiptPrediction) -> _Page:
    boxes = [word.box for word in receipt.words] or [(0.0, 0.0, 1.0, 1.0)]
    left, bottom = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, top = max(box[2] for box in boxes), max(box[3] for box in boxes)
    across, along = max(right - left, _LEAST), max(top - bottom, _LEAST)
    tall = min(max(_stretch_of(receipt) * along / across, _WIDEST), _TALLEST)
    return _Page(left, top, across, along, height=tall * WIDTH)


def _stretch_of(receipt: ReceiptPrediction) -> float:
    """Height of the paper for its width: the one at which the characters are as slim as print is."""
    slim = [
        (x1 - x0) / (len(word.text) * _CHARACTER * (y1 - y0))
        for word in receipt.words
        for x0, y0, x1, y1 in (word.box,)
        if word.text and y1 - y0 > _LEAST and x1 - x0 > _LEAST
    ]
    return median(slim) if slim else 1.0
