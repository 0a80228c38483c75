"""Cuts a receipt into windows that a model of limited length can read, without losing a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
