"""Intervals of F1 from receipts drawn again and again, alone and for two models on the same draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receipt_layoutlm.evaluation import bootstrap
from receipt_layoutlm.evaluation.bootstrap import compare_f1, f1_interval
from receipt_layoutlm.evaluation.entity_scores import EntityCounts, rate


def counts(rows: list[tuple[int, int, int]]) -> EntityCounts:
    return EntityCounts(("DATE",), np.array(rows, dtype=np.int64).reshape(-1, 1, 3))


def random_counts(seed: int, receipts: int = 60, skill: float = 0.7) -> EntityCounts:
    rng = np.random.default_rng(seed)
    gold = rng.integers(1, 12, receipts)
    correct = rng.binomial(gold, skill)
    found = correct + rng.integers(0, 3, receipts)
    return counts(list(zip(correct.tolist(), found.tolist(), gold.tolist(), strict=True)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_interval_lies_around_the_score_and_is_the_same_each_time(seed: int) -> None:
    made = random_counts(seed)
    interval = f1_interval(made)
    assert interval.low < float(rate(made.total)[0]) < interval.high
    assert f1_interval(made) == interval
    assert f1_interval(made, seed=1) != interval


def test_the_interval_is_that_of_receipts_drawn_one_by_one() -> None:
    made = random_counts(1)
    rng = np.random.default_rng(5)
    rows = made.by_receipt
    drawn = [float(rate(rows[rng.integers(0, len(rows), len(rows))].sum(axis=0))[0]) for _ in range(4000)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    interval = f1_interval(made, resamples=4000)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.01)


def test_more_receipts_narrow_the_interval() -> None:
    few, many = (f1_interval(random_counts(3, receipts)) for receipts in (20, 2000))
    assert many.high - many.low < (few.high - few.low) / 4


def test_the_draws_do_not_depend_on_how_they_are_divided_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    made = random_counts(2)
    whole = f1_interval(made)
    monkeypatch.setattr(bootstrap, "_CELLS", 1000)
    assert f1_interval(made) == whole


def test_a_comparison_on_the_same_receipts_finds_what_two_intervals_hide() -> None:
    base = random_counts(4)
    better = base.values.copy()
    # One more entity in every fourth receipt: little beside how much the receipts differ.
    better[::4, 0, 0] = np.minimum(better[::4, 0, 0] + 1, better[::4, 0, 2])
    better[::4, 0, 1] = np.maximum(better[::4, 0, 1], better[::4, 0, 0])
    one = EntityCounts(base.names, better)
    alone, other = f1_interval(one), f1_interval(base)
    assert alone.low < other.high
    compared = compare_f1(one, base)
    assert compared.difference == float(rate(one.total)[0] - rate(base.total)[0]) > 0
    assert 0 < compared.interval.low <= compared.difference <= compared.interval.high
    assert compared.better > 0.99


def test_a_model_compared_with_itself_is_no_better() -> None:
    compared = compare_f1(random_counts(4), random_counts(4))
    assert (compared.difference, compared.better) == (0, 0)
    assert (compared.interval.low, compared.interval.high) == (0, 0)


def test_counts_of_other_receipts_are_not_compared() -> None:
    for other in (random_counts(5), random_counts(4, receipts=59)):
        with pytest.raises(ValueError, match="not of the same receipts"):
            compare_f1(random_counts(4), other)


def test_receipts_without_entities_have_an_interval_of_zeros() -> None:
    interval = f1_interval(counts([(0, 0, 0)]))
    assert (interval.low, interval.high) == (0, 0)
