"""The words that name particular shops, streets and goods, so that training can put others in their place.

What a merchant is called tells which words are its name only as long as the merchant is known. With the names
of others in its place, place and form are left to learn from. Words that many names share, such as SDN BHD or
JALAN, are no particular one's and stay: of them, unseen names are recognised.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random

from receipt_layoutlm.data.pages import Page
from receipt_layoutlm.labels import OUTSIDE_ID

COMMON_FROM = 6
"""A word that so many different entities of its label have is a common one."""


class Mentions:
    """The rare words of each label, in lower case, as models read them.

    Args:
        pages: what training learns from.
    """

    def __init__(self, pages: Sequence[Page]) -> None:
        entities: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for page in pages:
            for label, start, end in find_entities(page.tags):
                texts = [text.lower() for text in page.texts[start:end]]
                for text in texts:
                    entities[label][text].add(" ".join(texts))
        self._rare = {
            label: sorted(text for text, whole in found.items() if len(whole) < COMMON_FROM)
            for label, found in entities.items()
        }
        self._known = {label: frozenset(words) for label, words in self._rare.items()}

    def replace(self, texts: Sequence[str], tags: Sequence[int], share: float, random: Random) -> list[str]:
        """The texts, with rare words of such a share of the entities replaced by others of their label."""
        changed = list(texts)
        for label, start, end in find_entities(tags):
            if random.random() >= share:
                continue
            for word in range(start, end):
                if texts[word].lower() in self._known.get(label, ()):
                    changed[word] = random.choice(self._rare[label])
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
