"""Turns pages into what the model takes: token ids and boxes, with one supervised token a word."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from receipt_layoutlm.data.geometry import ModelBox
from receipt_layoutlm.data.pages import Page
from receipt_layoutlm.data.windows import Window, cut_windows
from receipt_layoutlm.labels import OUTSIDE_ID

IGNORED = -100
SPECIAL_TOKENS = 2
_NO_BOX: ModelBox = (0, 0, 0, 0)
_PAD_MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class Example:
    """One window, encoded.

    Attributes:
        page: index of its page.
        start: the page's word that the window begins with.
        input_ids, boxes: one entry a token; [CLS] and [SEP] have boxes of zeros, as the clients give them.
        firsts: position of the first sub-token of each word.
        tags: tag id of each word.
    """

    page: int
    start: int
    input_ids: list[int]
    boxes: list[ModelBox]
    firsts: list[int]
    tags: list[int]

    @property
    def has_entity(self) -> bool:
        """Whether any word carries a label."""
        return any(tag != OUTSIDE_ID for tag in self.tags)


@dataclass(frozen=True, slots=True)
class EncodedPages:
    """Pages with all their windows."""

    pages: tuple[Page, ...]
    examples: tuple[Example, ...]
    pad_token_id: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """How pages become examples; the same in training, evaluation and inference.

    Attributes:
        tokenizer: a BERT WordPiece tokenizer.
        max_seq_length: tokens per window with special ones.
        window_size, window_stride: words.
    """

    tokenizer: Any
    max_seq_length: int
    window_size: int
    window_stride: int

    def encode(self, pages: Sequence[Page]) -> EncodedPages:
        """Every window of every page, page by page; no word is lost."""
        tokens = self._tokenise({text for page in pages for text in page.texts})
        examples = [
            example for index, page in enumerate(pages) for example in self._encode_page(index, page, tokens)
        ]
        return EncodedPages(tuple(pages), tuple(examples), self.tokenizer.pad_token_id)

    def _encode_page(self, index: int, page: Page, tokens: dict[str, list[int]]) -> list[Example]:
        pieces = [tokens[text] for text in page.texts]
        windows = cut_windows(
            [len(piece) for piece in pieces],
            size=self.window_size,
            stride=self.window_stride,
            max_tokens=self.max_seq_length - SPECIAL_TOKENS,
        )
        return [self._encode_window(index, page, pieces, window) for window in windows]

    def _encode_window(self, index: int, page: Page, pieces: list[list[int]], window: Window) -> Example:
        start, end = window
        ids, boxes, firsts = [self.tokenizer.cls_token_id], [_NO_BOX], []
        for word in range(start, end):
            piece = pieces[word][: self.max_seq_length - SPECIAL_TOKENS]
            firsts.append(len(ids))
            ids.extend(piece)
            boxes.extend([page.boxes[word]] * len(piece))
        ids.append(self.tokenizer.sep_token_id)
        boxes.append(_NO_BOX)
        return Example(index, start, ids, boxes, firsts, list(page.tags[start:end]))

    def _tokenise(self, texts: set[str]) -> dict[str, list[int]]:
        # Each distinct word once: BERT's tokenizer never looks across a word's edge.
        distinct = sorted(texts)
        if not distinct:
            return {}
        # Special ones are split: "[SEP]" printed on a receipt is five characters, as with the clients.
        encoded = self.tokenizer(distinct, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        # A word of control characters has no sub-token; as unknown it keeps its place and its tag.
        unknown = [self.tokenizer.unk_token_id]
        return {text: ids or unknown for text, ids in zip(distinct, encoded, strict=True)}


def padded_length(tokens: int) -> int:
    """What a batch whose longest window has so many tokens is padded to."""
    return -(-tokens // _PAD_MULTIPLE) * _PAD_MULTIPLE


@dataclass(frozen=True, slots=True)
class Collator:
    """Pads examples to the longest of a batch, rounded up to a multiple of 8: token pad, mask 0, box 0."""

    pad_token_id: int

    def __call__(self, examples: Sequence[Example], length: int | None = None) -> dict[str, torch.Tensor]:
        """Tensors input_ids, attention_mask, token_type_ids, labels [batch, n] and bbox [batch, n, 4].

        `length` is n, where a model takes certain lengths only.
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
        for row, example in enumerate(examples):
            length = len(example.input_ids)
            batch["input_ids"][row, :length] = torch.tensor(example.input_ids)
            batch["bbox"][row, :length] = torch.tensor(example.boxes)
            batch["attention_mask"][row, :length] = 1
            batch["labels"][row, torch.tensor(example.firsts)] = torch.tensor(example.tags)
        return batch


def outside_ratio(examples: Sequence[Example]) -> float:
    """Words without a label per word with one; the count of all words where none has one."""
    outside = sum(tag == OUTSIDE_ID for example in examples for tag in example.tags)
    entity = sum(len(example.tags) for example in examples) - outside
    return outside / max(entity, 1)


def drop_empty_windows(examples: Sequence[Example], max_ratio: float, seed: int) -> list[Example]:
    """Drop windows without entities, in seeded order, until `outside_ratio` is at most `max_ratio`.

    Windows with entities stay even where they alone exceed the ratio: they are what there is to learn.
    """
    empty = [index for index, example in enumerate(examples) if not example.has_entity]
    random.Random(seed).shuffle(empty)  # noqa: S311 - a seeded order, not a secret
    outside = sum(tag == OUTSIDE_ID for example in examples for tag in example.tags)
    entity = sum(len(example.tags) for example in examples) - outside
    dropped: set[int] = set()
    for index in empty:
        if outside <= max_ratio * entity:
            break
        outside -= len(examples[index].tags)
        dropped.add(index)
    return [example for index, example in enumerate(examples) if index not in dropped]
