"""A labelled receipt as training reads it, from any source: the table, a snapshot or a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 as the table has them: 0..1 on the cropped receipt, origin bottom left."""

_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `box` is the axis-aligned hull of its four corners, `label` a core label or None."""

    line_id: int
    word_id: int
    text: str
    box: Box
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt with the words that can be read, in the order of their ids."""

    image_id: str
    receipt_id: int
    words: tuple[Word, ...]
    merchant: str | None = None

    @property
    def key(self) -> str:
        """`{image_id}#{receipt_id:05d}`, as a pinned split names it."""
        return receipt_key(self.image_id, self.receipt_id)


def receipt_key(image_id: str, receipt_id: int) -> str:
    """`{image_id}#{receipt_id:05d}`."""
    return f"{image_id}#{receipt_id:05d}"


def hash_keys(keys: Iterable[str]) -> str:
    """The first 16 hex digits of the SHA-256 of the sorted keys joined by commas; names a split."""
    return hashlib.sha256(",".join(sorted(keys)).encode()).hexdigest()[:_HASH_DIGITS]
