"""Encoded examples: token ids and boxes with one supervised token per word, and batches of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from receipt_layoutlm.data.page_layout import ModelBox, PageLayout
from run_records.labels import OUTSIDE_ID

IGNORED = -100
_PAD_MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class Window:
    """A window: the words of a page that one example has.

    Attributes:
        page: index of the page.
        unit: index of the kind of example among those of the encoding.
        words: indexes of the page's words, as they are read.
        tags: tag id of each.
    """

    page: int
    unit: int
    words: list[int]
    tags: list[int]

    @property
    def has_entity(self) -> bool:
        """Whether any word carries a label."""
        return any(tag != OUTSIDE_ID for tag in self.tags)


@dataclass(frozen=True, slots=True)
class Example(Window):
    """One example, encoded.

    Attributes:
        input_ids, boxes: one entry a token; [CLS] and [SEP] have boxes of zeros, as the clients give them.
        firsts: position in these of the first sub-token of each word.
        positions: place of each token where it is not that in the example.
    """

    input_ids: list[int]
    boxes: list[ModelBox]
    firsts: list[int]
    positions: list[int] | None = None


C = TypeVar("C", bound=Window)


@dataclass(frozen=True, slots=True)
class EncodedPages:
    """Pages with all their examples."""

    pages: tuple[PageLayout, ...]
    examples: tuple[Example, ...]
    pad_token_id: int


def padded_length(tokens: int) -> int:
    """The padded length of a batch whose longest window has so many tokens."""
    return -(-tokens // _PAD_MULTIPLE) * _PAD_MULTIPLE


@dataclass(frozen=True, slots=True)
class Collator:
    """Pads examples to the longest of a batch, rounded up to a multiple of 8: token pad, mask 0, box 0."""

    pad_token_id: int

    def __call__(self, examples: Sequence[Example], length: int | None = None) -> dict[str, torch.Tensor]:
        """Tensors input_ids, attention_mask, token_type_ids, labels [batch, n] and bbox [batch, n, 4].

        With position_ids [batch, n] where the examples have places of their own. `length` is n, where a model
        takes certain lengths only.
        """
        longest = max(len(example.input_ids) for example in examples)
        shape = (len(examples), length or padded_length(longest))
        batch = {
            "input_ids": torch.full(shape, self.pad_token_id),
            "bbox": torch.zeros((*shape, 4), dtype=torch.long),
            "attention_mask": torch.zeros(shape, dtype=torch.long),
            "token_type_ids": torch.zeros(shape, dtype=torch.long),
            "labels": torch.full(shape, IGNORED),
        }
        if examples[0].positions is not None:
            batch["position_ids"] = torch.zeros(shape, dtype=torch.long)
        for row, example in enumerate(examples):
            length = len(example.input_ids)
            batch["input_ids"][row, :length] = torch.tensor(example.input_ids)
            batch["bbox"][row, :length] = torch.tensor(example.boxes)
            batch["attention_mask"][row, :length] = 1
            batch["labels"][row, torch.tensor(example.firsts)] = torch.tensor(example.tags)
            if example.positions is not None:
                batch["position_ids"][row, :length] = torch.tensor(example.positions)
        return batch


def outside_ratio(cuts: Iterable[Window]) -> float:
    """Words without a label per word with one; the count of all words where none has one."""
    outside, entity = _count(cuts)
    return outside / max(entity, 1)


def drop_empty_windows(cuts: Sequence[C], max_ratio: float, seed: int) -> list[C]:
    """Drop windows without entities, in seeded order, until `outside_ratio` is at most `max_ratio`.

    Windows with entities stay even where they alone exceed the ratio: they are what there is to learn.
    """
    empty = [index for index, cut in enumerate(cuts) if not cut.has_entity]
    random.Random(seed).shuffle(empty)  # noqa: S311 - a seeded order, not a secret
    outside, entity = _count(cuts)
    dropped: set[int] = set()
    for index in empty:
        if outside <= max_ratio * entity:
            break
        outside -= len(cuts[index].tags)
        dropped.add(index)
    return [cut for index, cut in enumerate(cuts) if index not in dropped]


def _count(cuts: Iterable[Window]) -> tuple[int, int]:
    """Words without a label, and words with one."""
    tags = [tag for cut in cuts for tag in cut.tags]
    outside = sum(tag == OUTSIDE_ID for tag in tags)
    return outside, len(tags) - outside
