"""Intervals, pair tests and Holm's correction."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import accumulate, combinations
from typing import Literal

import numpy as np
from scipy import stats

from run_records.lenient_model import LenientModel
from run_records.scores import Interval

Method = Literal["exact permutation", "random permutation", "Welch"]
Verdict = Literal["higher", "not told apart", "too few runs"]

LEVEL = 0.05
LEAST_RUNS = 3
"""Fewer scores say nothing about their spread."""
ENOUGH_RUNS = 10
"""From here on a bootstrap interval is nearly as wide as it should be."""
WELCH_RUNS = 8
"""Smallest group for Welch's t-test; smaller groups get a permutation test, which is fast at that size."""
RESAMPLES = 9_999
_PERMUTATIONS = 20_000
_BATCH = 2_000
_SEED = 0
_NO_SPREAD = 1e-9  # of an F1


class ScoreSummary(LenientModel):
    """Scores of repeated runs.

    Attributes:
        sd: sample standard deviation; None of one score.
        interval: 95 % bootstrap interval of the mean (BCa, 9,999 resamples); None below three scores.
    """

    n: int
    mean: float
    sd: float | None = None
    interval: Interval | None = None


class PairTest(LenientModel):
    """Two groups held against each other, the one of the higher mean first.

    Attributes:
        n: runs of each.
        difference: of the means.
        interval: Welch's 95 % confidence interval of that, of this pair alone; None below two runs.
        method: how the p value was come by; None where a group has fewer than three runs.
        p_value: two-sided; how often chance alone would bring so great a difference.
        p_holm: corrected for the number of pairs; the verdict rests on it.
        least_p_holm: the smallest that so many runs and pairs could have reached.
        verdict: what may be said of the pair.
    """

    higher: str
    lower: str
    n: tuple[int, int]
    difference: float
    interval: Interval | None = None
    method: Method | None = None
    p_value: float | None = None
    p_holm: float | None = None
    least_p_holm: float | None = None
    verdict: Verdict = "too few runs"

    @property
    def words(self) -> str:
        """The verdict in words, with no more in it."""
        return {
            "too few runs": "too few runs to tell",
            "not told apart": "these runs do not tell them apart",
            "higher": f"{self.higher} scored higher than {self.lower}",
        }[self.verdict]


def summarize(scores: Sequence[float]) -> ScoreSummary:
    """Mean, spread and interval of at least one score."""
    return ScoreSummary(
        n=len(scores),
        mean=float(np.mean(scores)),
        sd=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        interval=_interval_of_mean(scores) if len(scores) >= LEAST_RUNS else None,
    )


def compare_pairs(samples: Mapping[str, Sequence[float]]) -> tuple[PairTest, ...]:
    """Hold every pair of groups against each other; those that can be told apart come first.

    Pairs with a group of fewer than three runs are not tested, and do not count for Holm's correction: that
    depends on how many runs there are, and not on their scores.
    """
    ordered = sorted(samples, key=lambda name: np.mean(samples[name]), reverse=True)
    pairs = [_test_pair(samples, higher, lower) for higher, lower in combinations(ordered, 2)]
    tested = [pair for pair in pairs if pair.p_value is not None]
    corrected = holm([pair.p_value or 0.0 for pair in tested])
    # Holm's correction grows with every p value, so that with the least ones it is as small as it can be.
    least = holm([_least_p(pair.method, *pair.n) for pair in tested])
    told = [
        pair.model_copy(update={"p_holm": p, "least_p_holm": least_p, "verdict": _judge(p, least_p)})
        for pair, p, least_p in zip(tested, corrected, least, strict=True)
    ]
    told.sort(key=lambda pair: (pair.verdict == "too few runs", pair.p_holm))
    return (*told, *(pair for pair in pairs if pair.p_value is None))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number, step down (Holm, 1979), in the order they came in."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    steps = [min(1.0, (len(order) - rank) * p_values[place]) for rank, place in enumerate(order)]
    corrected = dict(zip(order, accumulate(steps, max), strict=True))
    return [corrected[place] for place in range(len(p_values))]


def _judge(p_value: float, least_p: float) -> Verdict:
    if least_p > LEVEL:
        return "too few runs"
    return "higher" if p_value <= LEVEL else "not told apart"


def _interval_of_mean(scores: Sequence[float]) -> Interval:
    if np.ptp(scores) < _NO_SPREAD:
        return Interval(low=float(np.mean(scores)), high=float(np.mean(scores)))
    for method in ("BCa", "percentile"):  # BCa's correction has no value for some samples with many ties
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = stats.bootstrap(
                (scores,), np.mean, n_resamples=RESAMPLES, method=method, rng=np.random.default_rng(_SEED)
            ).confidence_interval
        if math.isfinite(found.low) and math.isfinite(found.high):
            break
    return Interval(low=float(found.low), high=float(found.high))


def _test_pair(samples: Mapping[str, Sequence[float]], higher: str, lower: str) -> PairTest:
    first, second = samples[higher], samples[lower]
    n = (len(first), len(second))
    p_value, method, interval = None, None, None
    if min(n) > 1 and max(np.ptp(first), np.ptp(second)) >= _NO_SPREAD:
        with warnings.catch_warnings():  # where one group has no spread, which the other's makes up for
            warnings.simplefilter("ignore")
            welch = stats.ttest_ind(first, second, equal_var=False)
        found = welch.confidence_interval(1 - LEVEL)
        interval = Interval(low=float(found.low), high=float(found.high))
        if min(n) >= WELCH_RUNS:
            p_value, method = float(welch.pvalue), "Welch"
    if p_value is None and min(n) >= LEAST_RUNS:
        p_value = _permute(first, second)
        method = "exact permutation" if _all_permutations(*n) <= _PERMUTATIONS else "random permutation"
    return PairTest(
        higher=higher,
        lower=lower,
        n=n,
        difference=float(np.mean(first) - np.mean(second)),
        interval=interval,
        method=method,
        p_value=p_value,
    )


def _permute(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p value of the difference of means, over all ways to deal the scores to the two groups."""
    return float(
        stats.permutation_test(
            (first, second),
            lambda one, other, axis: np.mean(one, axis=axis) - np.mean(other, axis=axis),
            n_resamples=_PERMUTATIONS,
            batch=_BATCH,
            rng=np.random.default_rng(_SEED),
        ).pvalue
    )


def _all_permutations(first: int, second: int) -> int:
    return math.comb(first + second, first)


def _least_p(method: Method | None, first: int, second: int) -> float:
    """The smallest two-sided p value that a test of so many runs can give: that of one way among all."""
    if method == "Welch":
        return 0.0
    ways = _all_permutations(first, second)
    return min(1.0, 2 / ways if ways <= _PERMUTATIONS else 2 / (_PERMUTATIONS + 1))
