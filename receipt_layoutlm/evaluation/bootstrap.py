"""Confidence intervals of F1 and comparisons of models, by the bootstrap over validation receipts.

Efron, 1979; percentile intervals. Receipts are resampled, not entities: the entities of one receipt are
correlated. Two models are compared on the same resamples, as Koehn (2004) does, because a receipt that is
hard for one model is hard for the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from messages.fields import Message
from receipt_layoutlm.evaluation.entity_scores import Counts, EntityCounts, rate
from run_records.scores import Interval

RESAMPLES = 1000
SEED = 20_250_101
_PERCENT = (2.5, 97.5)
_CELLS = 4_000_000
"""Counts (resamples x receipts) per block; limits memory to 32 MB instead of 80 for 10,000 receipts."""


class Comparison(Message):
    """One model held against another, or one group of receipts.

    Attributes:
        difference: F1 of the one less that of the other.
        interval: of that difference; without zero in it, the difference is hardly luck.
        better: share of resamples in which the one is better.
    """

    difference: float
    interval: Interval
    better: float


def f1_interval(counts: EntityCounts, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """The 95 % interval of F1 over all entities; the same for the same counts and seed."""
    return _interval(_resampled_f1(counts.by_receipt, resamples, seed))


def compare_f1(
    one: EntityCounts, other: EntityCounts, resamples: int = RESAMPLES, seed: int = SEED
) -> Comparison:
    """Compare two models by their counts on the same receipts, in the same order.

    Raises:
        ValueError: the receipts differ in number or in their true entities.
    """
    ours, theirs = one.by_receipt, other.by_receipt
    if ours.shape != theirs.shape or not np.array_equal(ours[:, 2], theirs[:, 2]):
        raise ValueError("The counts are not of the same receipts. Score both models on one set.")
    differences = _resampled_f1(ours, resamples, seed) - _resampled_f1(theirs, resamples, seed)
    return _comparison(one, other, differences)


def contrast_f1(
    one: EntityCounts, other: EntityCounts, resamples: int = RESAMPLES, seed: int = SEED
) -> Comparison:
    """Compare two groups of receipts, each drawn for itself."""
    differences = _resampled_f1(one.by_receipt, resamples, seed) - _resampled_f1(
        other.by_receipt, resamples, seed + 1
    )
    return _comparison(one, other, differences)


def _comparison(one: EntityCounts, other: EntityCounts, differences: npt.NDArray[np.float64]) -> Comparison:
    return Comparison(
        difference=float(rate(one.total)[0] - rate(other.total)[0]),
        interval=_interval(differences),
        better=float((differences > 0).mean()),
    )


def _resampled_f1(by_receipt: Counts, resamples: int, seed: int) -> npt.NDArray[np.float64]:
    """F1 of each resample, [resamples]; a resample is how often each receipt was drawn."""
    sums = [draws @ by_receipt for draws in _draw(len(by_receipt), resamples, seed)]
    return rate(np.concatenate(sums))[0]


def _draw(receipts: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    block = max(_CELLS // max(receipts, 1), 1)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        yield rng.multinomial(receipts, np.full(receipts, 1 / max(receipts, 1)), size=size)


def _interval(values: npt.NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, _PERCENT)
    return Interval(low=float(low), high=float(high))
