"""The words that entities of a label are made of, so that training can put others in their place.

What a merchant is called tells which words are its name only as long as the merchant is known. With words of
other names instead, place and form are left to learn from. Words are drawn as often as they occur, so those
that many names share, such as SDN BHD or JALAN, go on to tell a name or an address.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random

from receipt_layoutlm.data.pages import Page
from run_records.labels import OUTSIDE_ID


class Mentions:
    """The words of each label, as often as training has them.

    Args:
        pages: what training learns from.
    """

    def __init__(self, pages: Sequence[Page]) -> None:
        self._words: dict[int, list[str]] = defaultdict(list)
        for page in pages:
            for label, start, end in find_entities(page.tags):
                self._words[label] += page.texts[start:end]

    def replace(self, texts: Sequence[str], tags: Sequence[int], share: float, random: Random) -> list[str]:
        """The texts, with each word of such a share of the entities replaced by one of its label."""
        changed = list(texts)
        for label, start, end in find_entities(tags):
            if random.random() < share and label in self._words:
                changed[start:end] = random.choices(self._words[label], k=end - start)
        return changed


def find_entities(tags: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Number of the label, first word and the one after the last, of each entity; a window may cut one."""
    start = 0
    for word in range(1, len(tags) + 1):
        if word < len(tags) and tags[word] == _inside(tags[start]):
            continue
        if tags[start] != OUTSIDE_ID:
            yield (tags[start] - 1) // 2, start, word
        start = word


def _inside(tag: int) -> int | None:
    """The tag that goes on with an entity: I-X after B-X, whose id it follows, and after itself."""
    return None if tag == OUTSIDE_ID else tag + tag % 2
