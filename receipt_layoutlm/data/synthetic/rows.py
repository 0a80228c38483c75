"""A printed row before it has a place on the paper: which words, with which label, at which side."""

from dataclasses import dataclass
from typing import Literal

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
