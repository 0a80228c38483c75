"""Composition of batches: the windows of one batch, and their tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from receipt_layoutlm.data.examples import Example, padded_length
from receipt_layoutlm.data.importers.sroie import read_sroie
from receipt_layoutlm.training.speed.batches import BLOCKS, PAGES, LengthBatches, TrainingCollator, cut_batch
from tests.conftest import SROIE

LENGTHS = st.lists(st.integers(3, 512), min_size=1, max_size=200)


def padding_share(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> float:
    """The share of all tokens that are padding, each batch padded to its longest, a multiple of 8."""
    total = sum(len(batch) * padded_length(max(lengths[index] for index in batch)) for batch in batches)
    return 1 - sum(lengths[index] for batch in batches for index in batch) / total


def batches(
    lengths: list[int], windows: int, tokens: int | None, seed: int = 0, epoch: float | None = 0
) -> LengthBatches:
    return LengthBatches(lengths, windows, tokens, seed, lambda: epoch)


def example(page: int, tokens: int, first: int = 5) -> Example:
    ids = list(range(first, first + tokens))
    return Example(page, 0, [0, 1], [1, 0], ids, [(0, 0, 1, 1)] * tokens, [1, 2])


@given(LENGTHS, st.integers(1, 20), st.none() | st.integers(64, 4096), st.integers(0, 3))
def test_every_window_is_in_exactly_one_batch_of_each_epoch(
    lengths: list[int], windows: int, tokens: int | None, epoch: int
) -> None:
    cut = batches(lengths, windows, tokens, epoch=epoch)
    assert sorted(chain.from_iterable(cut)) == list(range(len(lengths)))
    assert len(list(cut)) == len(cut)


@given(LENGTHS, st.integers(64, 4096))
def test_a_batch_keeps_its_token_budget_unless_one_window_alone_exceeds_it(
    lengths: list[int], tokens: int
) -> None:
    for batch in batches(lengths, 8, tokens):
        computed = len(batch) * padded_length(max(lengths[index] for index in batch))
        assert computed <= tokens or len(batch) == 1


@given(LENGTHS, st.none() | st.integers(64, 4096))
def test_every_epoch_has_as_many_batches_as_the_schedule_counts(
    lengths: list[int], tokens: int | None
) -> None:
    assert len({len(list(batches(lengths, 4, tokens, epoch=epoch))) for epoch in range(4)}) == 1


@pytest.mark.parametrize("tokens", [None, 1024])
def test_the_order_follows_from_seed_and_epoch_alone(tokens: int | None) -> None:
    lengths = [20 + number % 40 for number in range(90)]
    one = list(batches(lengths, 8, tokens, seed=1, epoch=2))
    assert one == list(batches(lengths, 8, tokens, seed=1, epoch=2.5))
    assert one != list(batches(lengths, 8, tokens, seed=1, epoch=3))
    assert one != list(batches(lengths, 8, tokens, seed=2, epoch=2))


def test_real_receipts_are_padded_by_five_percent_at_most() -> None:
    if not SROIE.is_file():
        pytest.skip("needs the SROIE receipts")
    words = [sum(len(text.split()) for text in receipt.texts) for receipt in read_sroie(SROIE)]
    # A word has two tokens or so; what counts here is how lengths are spread.
    lengths = [2 + 2 * count for count in words if count <= 200]
    assert len(lengths) > 500
    for windows, tokens in ((8, None), (16, None), (8, 4096)):
        for epoch in range(3):
            cut = list(batches(lengths, windows, tokens, epoch=epoch))
            assert padding_share(cut, lengths) <= 0.05


def test_a_batch_knows_the_pages_that_it_is_of() -> None:
    batch = TrainingCollator(0)([example(4, 9), example(2, 11)])
    assert batch[PAGES].tolist() == [4, 2]
    assert batch["input_ids"].shape == (2, 16)


def test_a_batch_in_parts_is_the_batch() -> None:
    batch = TrainingCollator(0)([example(page, 9 + page) for page in range(5)])
    parts = cut_batch(batch, 2)
    assert [len(part["input_ids"]) for part in parts] == [3, 2]
    for name, tensor in batch.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), tensor)
    assert len(cut_batch(cut_batch(batch, 5)[0], 2)) == 1


def test_packed_rows_hold_all_windows_each_blind_to_the_others_and_begun_anew() -> None:
    batch = TrainingCollator(0, row_tokens=24)([example(0, 10), example(1, 20), example(2, 12, first=50)])
    ids, positions, blocks = batch["input_ids"], batch["position_ids"], batch[BLOCKS]
    assert ids.shape == (2, 24)
    assert blocks.shape == (2, 1, 24, 24)
    assert ids[0, :20].tolist() == list(range(5, 25))
    assert ids[1, :22].tolist() == [*range(50, 62), *range(5, 15)]
    assert positions[1, :22].tolist() == [*range(12), *range(10)]
    seen = blocks[1, 0] == 0
    assert seen[:12, :12].all()
    assert seen[12:22, 12:22].all()
    assert not seen[:12, 12:].any()
    assert not seen[12:22, :12].any()
    assert not seen[:22, 22:].any()
    assert batch["labels"][1, [1, 2, 13, 14]].tolist() == [1, 0, 1, 0]
