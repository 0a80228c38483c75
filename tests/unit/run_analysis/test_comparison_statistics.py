"""Statistical tests of scores, and no claim beyond them."""

from __future__ import annotations

from math import comb
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from run_analysis.comparison.statistics import compare_pairs, holm, summarize

LOW = [0.70, 0.71, 0.72, 0.73]
HIGH = [0.80, 0.81, 0.82, 0.83]
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def around(mean: float, n: int, seed: int) -> list[float]:
    dice = Random(seed)  # noqa: S311 - dice that have to fall the same again
    return [dice.gauss(mean, 0.01) for _ in range(n)]


def test_four_against_four_that_do_not_mix_is_told_by_the_exact_test() -> None:
    [pair] = compare_pairs({"a": LOW, "b": HIGH})
    assert pair.method == "exact permutation"
    assert pair.p_value == pytest.approx(2 / comb(8, 4))
    assert pair.words == "b scored higher than a"
    assert pair.n == (4, 4)
    assert pair.difference == pytest.approx(0.1)
    assert pair.interval is not None
    assert pair.interval.low < 0.1 < pair.interval.high


@pytest.mark.parametrize(("first", "second"), [(3, 3), (3, 4)])
def test_an_exact_test_that_cannot_reach_its_level_says_that_there_are_too_few_runs(
    first: int, second: int
) -> None:
    [pair] = compare_pairs({"a": around(0.1, first, 1), "b": around(0.9, second, 2)})
    assert pair.p_value == pytest.approx(2 / comb(first + second, first))
    assert (pair.verdict, pair.words) == ("too few runs", "too few runs to tell")


@pytest.mark.parametrize("n", [1, 2])
def test_a_group_of_fewer_than_three_is_not_tested(n: int) -> None:
    [pair] = compare_pairs({"a": around(0.1, n, 1), "b": around(0.9, 20, 2)})
    assert (pair.p_value, pair.p_holm, pair.method) == (None, None, None)
    assert pair.words == "too few runs to tell"


def test_runs_that_suffice_for_one_pair_may_be_too_few_for_many() -> None:
    groups = {f"g{at}": [at / 10 + step / 1000 for step in range(4)] for at in range(4)}
    pairs = compare_pairs(groups)
    assert len(pairs) == 6
    assert all(pair.p_value == pytest.approx(2 / comb(8, 4)) for pair in pairs)
    assert {pair.verdict for pair in pairs} == {"too few runs"}


def test_scores_that_mix_are_not_told_apart_and_no_more_is_said() -> None:
    [pair] = compare_pairs({"a": around(0.8, 7, 1), "b": around(0.8, 7, 2)})
    assert pair.method == "exact permutation"
    assert pair.p_value is not None
    assert pair.p_value > 0.05
    assert pair.words == "these runs do not tell them apart"


def test_many_runs_are_held_against_each_other_by_welch() -> None:
    [pair] = compare_pairs({"a": around(0.80, 30, 1), "b": around(0.83, 12, 2)})
    assert (pair.method, pair.verdict, pair.higher) == ("Welch", "higher", "b")


def test_few_runs_against_very_many_are_permuted_at_random_and_the_same_each_time() -> None:
    groups = {"a": around(0.80, 40, 1), "b": around(0.83, 4, 2)}
    [pair], [again] = compare_pairs(groups), compare_pairs(groups)
    assert (pair.method, pair) == ("random permutation", again)
    assert pair.verdict == "higher"


@pytest.mark.parametrize("n", [3, 12])
def test_groups_without_spread_are_compared_without_a_fault(n: int) -> None:
    [same] = compare_pairs({"a": [0.5] * n, "b": [0.5] * n})
    assert (same.p_value, same.difference, same.interval) == (1.0, 0.0, None)
    [apart] = compare_pairs({"a": [0.5] * n, "b": [0.6] * n})
    assert apart.verdict == ("too few runs" if n == 3 else "higher")


def test_pairs_that_can_be_told_come_first() -> None:
    pairs = compare_pairs({"low": around(0.5, 12, 1), "one": [0.6], "high": around(0.9, 12, 2)})
    assert [pair.verdict for pair in pairs] == ["higher", "too few runs", "too few runs"]


def test_equal_groups_are_told_apart_no_more_often_than_the_level_says() -> None:
    told = 0
    for seed in range(200):
        dice = Random(seed)  # noqa: S311 - dice that have to fall the same again
        groups = {name: [dice.gauss(0.8, 0.02) for _ in range(5)] for name in "abc"}
        told += any(pair.verdict == "higher" for pair in compare_pairs(groups))
    assert told <= 18  # of 200 at 5 %: more than this happens in one of 100 cases


def test_a_single_score_has_no_spread_and_two_have_no_interval() -> None:
    one, two = summarize([0.5]), summarize([0.5, 0.7])
    assert (one.n, one.mean, one.sd, one.interval) == (1, 0.5, None, None)
    assert two.sd == pytest.approx(0.1414, abs=1e-4)
    assert two.interval is None


@given(st.lists(st.floats(0, 1), min_size=3, max_size=12))
@settings(max_examples=40, deadline=None)
def test_an_interval_is_one_of_finite_bounds_within_the_scores(scores: list[float]) -> None:
    found = summarize(scores)
    assert found.interval is not None
    assert min(scores) - 1e-9 <= found.interval.low <= found.interval.high <= max(scores) + 1e-9
    assert found == summarize(scores)


def test_holm_is_what_its_author_calculates() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(P_VALUES)
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= after <= 1 for p, after in zip(p_values, corrected, strict=True))
    by_size = sorted(zip(p_values, corrected, strict=True))
    assert [after for _, after in by_size] == sorted(corrected)


@given(P_VALUES, st.data())
def test_holm_grows_with_every_p_value_so_that_the_least_ones_bound_it(
    p_values: list[float], data: st.DataObject
) -> None:
    lower = [data.draw(st.floats(0, p)) for p in p_values]
    assert all(less <= more for less, more in zip(holm(lower), holm(p_values), strict=True))
