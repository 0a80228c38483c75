"""Words to sub-tokens, each distinct word once: BERT's tokenizer never looks across a word's edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MOST_WORDS = 200_000
"""Remembered at a time; augmentation makes new words without end."""


class WordTokens:
    """A tokenizer that remembers.

    Attributes:
        tokenizer: a BERT WordPiece tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def of(self, texts: Sequence[str]) -> list[list[int]]:
        """Sub-tokens of each word, at least one."""
        if len(self._known) > _MOST_WORDS:
            self._known.clear()
        new = sorted({text for text in texts if text not in self._known})
        if new:
            self._known.update(zip(new, self._tokenise(new), strict=True))
        return [self._known[text] for text in texts]

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        # Special ones are split: "[SEP]" printed on a receipt is five characters, as with the clients.
        encoded = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        # A word of control characters has no sub-token; as unknown it keeps its place and its tag.
        return [ids or [self.tokenizer.unk_token_id] for ids in encoded]
