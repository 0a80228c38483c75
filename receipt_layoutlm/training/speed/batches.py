"""Which windows share a batch: those of like length, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch.utils.data import Sampler

from receipt_layoutlm.data.examples import padded_length

_BUCKET_BATCHES = 50
"""Batches that are sorted by length together. Of SROIE in 16s, 8 of them pad 9 %, 50 of them 3 %."""


class LengthBatches(Sampler[list[int]]):
    """Batches that follow from seed and epoch alone, so that a resumed epoch goes on in its own.

    Every epoch has equally many, as the schedule counts them beforehand.

    Args:
        lengths: tokens of each window.
        windows: of a batch, where tokens does not count them.
        tokens: of a batch at most, padding included; a window that is longer is alone.
        seed: of the order.
        epoch: epochs done, a part of one left out.
        share: which part of a batch this process takes, where several share it; it may be empty.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what the batches follow from
        self,
        lengths: Sequence[int],
        windows: int,
        tokens: int | None,
        seed: int,
        epoch: Callable[[], float | None],
        share: Callable[[Sequence[int]], list[int]] = list,
    ) -> None:
        self._lengths = lengths
        self._windows = windows
        self._tokens = tokens
        self._seed = seed
        self._epoch = epoch
        self._share = share
        self._count = len(self._cut(range(len(lengths))))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + int(self._epoch() or 0))
        batches = self._cut(torch.randperm(len(self._lengths), generator=generator).tolist())
        for index in torch.randperm(len(batches), generator=generator).tolist():
            yield self._share(batches[index])

    def _cut(self, order: Sequence[int]) -> list[list[int]]:
        if self._tokens is not None:
            return _cut_by_tokens(order, self._lengths, self._tokens)
        return _cut_by_windows(order, self._lengths, self._windows)


def _cut_by_windows(order: Sequence[int], lengths: Sequence[int], windows: int) -> list[list[int]]:
    bucket = windows * _BUCKET_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), bucket):
        alike = sorted(order[start : start + bucket], key=lambda index: lengths[index])
        batches += [alike[at : at + windows] for at in range(0, len(alike), windows)]
    return batches


def _cut_by_tokens(order: Sequence[int], lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Cut by length alone: whichever windows of one length meet, there are equally many batches."""
    batches: list[list[int]] = []
    room = 0
    for index in sorted(order, key=lambda index: -padded_length(lengths[index])):
        if not room:
            batches.append([])
            room = max(tokens // padded_length(lengths[index]), 1)
        batches[-1].append(index)
        room -= 1
    return batches
