"""Batches of the training: padded, or with several windows in one row, and with the receipts they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from receipt_layoutlm.data.examples import IGNORED, Collator, Example, padded_length
from receipt_layoutlm.training.speed.attention import block_mask

PAGES = "pages"
"""Key of a batch: the pages that its windows are of, for whoever has to name them."""
BLOCKS = "blocks"
"""Key of a packed batch, and argument of the model's attention."""


@dataclass(frozen=True, slots=True)
class TrainingCollator:
    """Makes a batch of examples.

    Attributes:
        pad_token_id: fills rows up.
        row_tokens: length of a row that windows are packed into; None pads each window in a row of its own.
    """

    pad_token_id: int
    row_tokens: int | None = None

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """The tensors of the plain collator, and the numbers of the pages; with blocks if packed.

        Of no examples one row that nothing is learned from: who has no part in a batch takes the step, too.
        """
        pad = Collator(self.pad_token_id)
        if not examples:
            return {**pad([_nothing(self.pad_token_id)]), PAGES: torch.tensor([], dtype=torch.long)}
        batch = pad(examples) if self.row_tokens is None else _pack(examples, pad, self.row_tokens)
        return {**batch, PAGES: torch.tensor([example.page for example in examples])}


def cut_batch(batch: dict[str, Tensor], parts: int) -> list[dict[str, Tensor]]:
    """The rows of a batch in so many parts of nearly equal size, or fewer where it has fewer rows."""
    pieces = {name: tensor.tensor_split(min(parts, len(tensor))) for name, tensor in batch.items()}
    return [dict(zip(pieces, tensors, strict=True)) for tensors in zip(*pieces.values(), strict=True)]


def _nothing(pad_token_id: int) -> Example:
    return Example(0, 0, [0], [IGNORED], [pad_token_id], [(0, 0, 0, 0)], [0])


def _pack(examples: Sequence[Example], pad: Collator, row_tokens: int) -> dict[str, Tensor]:
    rows = _fill_rows([len(example.input_ids) for example in examples], row_tokens)
    longest = max(sum(len(examples[index].input_ids) for index in row) for row in rows)
    batch = pad([_join([examples[index] for index in row]) for row in rows], padded_length(longest))
    segments = torch.zeros_like(batch["input_ids"])
    for segment, row in zip(segments, rows, strict=True):
        start = 0
        for number, index in enumerate(row, start=1):
            end = start + len(examples[index].input_ids)
            segment[start:end] = number
            start = end
    return {**batch, BLOCKS: block_mask(segments, torch.float32)}


def _fill_rows(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """First fit, the longest first; a window that is longer than a row is alone in one."""
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        row = next((row for row, left in enumerate(room) if left >= lengths[index]), None)
        if row is None:
            row = len(rows)
            rows.append([])
            room.append(row_tokens)
        rows[row].append(index)
        room[row] -= lengths[index]
    return rows


def _join(examples: Sequence[Example]) -> Example:
    """One row of windows, each with positions from its own start."""
    first = examples[0]
    starts = [sum(len(one.input_ids) for one in examples[:number]) for number in range(len(examples))]
    return Example(
        first.page,
        first.unit,
        [word for one in examples for word in one.words],
        [tag for one in examples for tag in one.tags],
        [token for one in examples for token in one.input_ids],
        [box for one in examples for box in one.boxes],
        [start + place for start, one in zip(starts, examples, strict=True) for place in one.firsts],
        [
            place
            for one in examples
            for place in (range(len(one.input_ids)) if one.positions is None else one.positions)
        ],
    )
