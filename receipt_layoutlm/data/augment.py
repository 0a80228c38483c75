"""Augments training examples, entity swaps included."""

from __future__ import annotations

import math
import string
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from messages.options.augmentation import AugmentationOptions
from receipt_layoutlm.data.encoder import Passage
from receipt_layoutlm.data.examples import Example
from receipt_layoutlm.data.page_layout import BOX_SCALE, ModelBox, PageLayout
from run_records.labels import OUTSIDE_ID


class EntitySwaps:
    """The words of each label, as often as training has them.

    Args:
        pages: what training learns from.
    """

    def __init__(self, pages: Sequence[PageLayout]) -> None:
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


MOST_SHIFT = 50
"""Largest shift of a box, in model units; a receipt is 1000 wide and high."""
MOST_SCALE = 0.1
MOST_SKEW_DEGREES = 2.0

# Pairs that scanners confuse; another character becomes any letter.
_ALIKE = dict(zip("0O1I5S8B2Z6G", "O0I1S5B8Z2G6", strict=True))

Affine = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes of training examples, with their probabilities.

    Attributes:
        options: the probabilities.
        mask_token_id: id of [MASK].
        mentions: words that may stand in each other's place.
    """

    options: AugmentationOptions
    mask_token_id: int
    mentions: EntitySwaps

    @property
    def is_off(self) -> bool:
        """Whether nothing is ever changed."""
        return not any(getattr(self.options, name) for name in AugmentationOptions.model_fields)

    def change(self, passage: Passage, random: Random) -> tuple[Passage, list[int]]:
        """Another version of some words, and which of them it still has."""
        kept = self._keep(passage, random)
        named = self.mentions.replace(passage.texts, passage.tags, self.options.augment_names, random)
        texts = [self._misread(named[index], random) for index in kept]
        boxes = self._move([passage.boxes[index] for index in kept], random)
        tags, lines = ([values[index] for index in kept] for values in (passage.tags, passage.lines))
        return Passage(texts, boxes, tags, lines), kept

    def mask(self, example: Example, random: Random) -> Example:
        """The example with some of its words' tokens hidden behind [MASK]."""
        share = self.options.augment_mask_tokens
        if not share:
            return example
        # [CLS] and each [SEP] carry boxes of zeros, and keep their ids.
        ids = [
            self.mask_token_id if any(box) and random.random() < share else token
            for token, box in zip(example.input_ids, example.boxes, strict=True)
        ]
        return replace(example, input_ids=ids)

    def _keep(self, passage: Passage, random: Random) -> list[int]:
        share = self.options.augment_drop_lines
        everything = list(range(len(passage.texts)))
        if not share:
            return everything
        labelled = {line for line, tag in zip(passage.lines, passage.tags, strict=True) if tag != OUTSIDE_ID}
        others = sorted(set(passage.lines) - labelled)
        dropped = {line for line in others if random.random() < share}
        kept = [index for index, line in enumerate(passage.lines) if line not in dropped]
        return kept or everything

    def _misread(self, text: str, random: Random) -> str:
        if random.random() < self.options.augment_digits:
            text = "".join(random.choice(string.digits) if one.isdigit() else one for one in text)
        if random.random() < self.options.augment_characters:
            text = _misread_one(text, random)
        return text

    def _move(self, boxes: list[ModelBox], random: Random) -> Sequence[ModelBox]:
        shift_x, shift_y = _draw(self.options.augment_shift, MOST_SHIFT, random)
        scale_x, scale_y = _draw(self.options.augment_scale, MOST_SCALE, random)
        skew, _ = _draw(self.options.augment_skew, MOST_SKEW_DEGREES, random)
        if not any((shift_x, shift_y, scale_x, scale_y, skew)):
            return boxes
        slope, middle = math.tan(math.radians(skew)), BOX_SCALE / 2

        def move(x: float, y: float) -> tuple[float, float]:
            return (
                middle + (x - middle) * (1 + scale_x) + shift_x,
                middle + (y - middle) * (1 + scale_y) + shift_y + slope * (x - middle),
            )

        return [_moved(box, move) for box in boxes]


def _draw(probability: float, most: float, random: Random) -> tuple[float, float]:
    """Two amounts of at most `most` to either side, or none."""
    if random.random() >= probability:
        return 0.0, 0.0
    return random.uniform(-most, most), random.uniform(-most, most)


def _moved(box: ModelBox, move: Affine) -> ModelBox:
    # Words stay upright: the middle moves as the paper does, and the box keeps its corners in order.
    x0, y0, x1, y1 = box
    left, low = move(x0, y0)
    right, high = move(x1, y0)
    rise = move(x0, y1)[1] - low
    bottom = (low + high) / 2
    return _place(left), _place(bottom), max(_place(right), _place(left)), _place(bottom + max(rise, 0))


def _place(coordinate: float) -> int:
    return min(max(round(coordinate), 0), BOX_SCALE)


def _misread_one(text: str, random: Random) -> str:
    at = random.randrange(len(text))
    one = text[at]
    what = random.random()
    if what < 0.2 and len(text) > 1:  # noqa: PLR2004 - a fifth is lost
        return text[:at] + text[at + 1 :]
    if what < 0.4:  # noqa: PLR2004 - a fifth is doubled
        return text[:at] + one + text[at:]
    return text[:at] + _ALIKE.get(one, random.choice(string.ascii_letters)) + text[at + 1 :]
