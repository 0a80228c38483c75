"""Cuts pages into windows that fit the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from receipt_layoutlm.data.page_layout import PageLayout, words_by_line

Window = tuple[int, int]
"""First word and the one after the last."""


def cut_windows(token_counts: Sequence[int], *, size: int, stride: int, max_tokens: int) -> list[Window]:
    """The windows over a receipt's words in reading order.

    Args:
        token_counts: sub-tokens of each word.
        size: words per window.
        stride: words from one window's start to the next; at most `size`.
        max_tokens: sub-tokens that fit beside the special ones. A window with more becomes several; a
            single word with more keeps its first ones.
    """
    return [
        piece
        for start, end in _slide(len(token_counts), size, stride)
        for piece in cut_to_fit(token_counts, start, end, max_tokens)
    ]


def _slide(words: int, size: int, stride: int) -> Iterator[Window]:
    for start in range(0, words, stride):
        yield start, min(start + size, words)
        if start + size >= words:
            return


def cut_to_fit(token_counts: Sequence[int], start: int, end: int, max_tokens: int) -> Iterator[Window]:
    """The window of these words, or several where it has more tokens; a longer word is alone in its own."""
    used = 0
    for word in range(start, end):
        needed = min(token_counts[word], max_tokens)
        if used + needed > max_tokens:
            yield start, word
            start, used = word, 0
        used += needed
    yield start, end


RECEIPT, LINE = "receipt", "line"
_LINES = "lines:"

Words = list[int]
"""Indexes of a page's words, in the order in which an example has them."""


def cut_page(  # noqa: PLR0913 - what is cut, and into what
    page: PageLayout, token_counts: Sequence[int], unit: str, *, size: int, stride: int, max_tokens: int
) -> list[Words]:
    """The words of each example that a page becomes; every word is in at least one.

    Args:
        page: in reading order.
        token_counts: tokens of each word, separators included.
        unit: `receipt`, `line` or `lines:K`.
        size: words per window of a receipt.
        stride: words from one such window's start to the next.
        max_tokens: that fit beside the special ones.
    """
    if unit == RECEIPT:
        windows = cut_windows(token_counts, size=size, stride=stride, max_tokens=max_tokens)
        return [list(range(start, end)) for start, end in windows]
    lines = words_by_line(page.lines, page.boxes)
    together = 1 if unit == LINE else int(unit.removeprefix(_LINES))
    return [
        piece
        for group in _slide_lines(lines, together)
        for piece in _fit(list(chain.from_iterable(group)), token_counts, max_tokens)
    ]


def units_of(example_unit: str) -> tuple[str, ...]:
    """`receipt,lines:5` as its parts, each once."""
    return tuple(dict.fromkeys(example_unit.split(",")))


def _slide_lines(lines: list[Words], together: int) -> list[list[Words]]:
    """Groups of so many lines, each half over the one before, so that most lines see both neighbours."""
    step = max(together // 2, 1)
    last = max(len(lines) - together, 0)
    starts = [*range(0, last, step), last] if lines else []
    return [lines[start : start + together] for start in starts]


def _fit(words: Words, token_counts: Sequence[int], max_tokens: int) -> list[Words]:
    counts = [token_counts[word] for word in words]
    return [words[start:end] for start, end in cut_to_fit(counts, 0, len(counts), max_tokens)]
