"""Fits a learning curve and forecasts F1 for more data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeWarning, curve_fit

from run_analysis.advice.proposal import AdviceContext, Expectation
from run_records.scores import Interval

LEAST_SIZES = 4
"""Three constants go through any three points: only a fourth tells anything."""
LEAST_SPREAD = 2.0
"""Over less than a doubling of the receipts the curve is a straight line within the noise."""

_RESAMPLES = 200
_LEAST_NOISE = 0.005
_SEED = 0
_MOST_RECEIPTS = 10_000_000

Constants = tuple[float, float, float]
_BOUNDS = ([0.0, 0.0, 0.05], [1.0, 50.0, 2.0])


@dataclass(frozen=True)
class LearningCurve:
    """A fitted curve.

    Attributes:
        constants: a, b and c.
        resampled: those of the fits to resampled points, by which intervals are made.
    """

    constants: Constants
    resampled: tuple[Constants, ...]

    def f1(self, receipts: float) -> tuple[float, float, float]:
        """F1 at so many training receipts, and the bounds of 95 % of the resamples: (f1, low, high)."""
        low, high = np.quantile([_value(receipts, *one) for one in self.resampled], (0.025, 0.975))
        return float(_value(receipts, *self.constants)), float(low), float(high)

    def receipts_for(self, target: float) -> tuple[int | None, int | None, int | None]:
        """Receipts that an F1 takes, and the bounds of 95 % of the resamples; None where none suffice."""
        needed = [_inverse(target, one) for one in self.resampled]
        low, high = np.quantile(needed, (0.025, 0.975), method="nearest")
        return _count(_inverse(target, self.constants)), _count(float(low)), _count(float(high))


def fit_curve(receipts: Sequence[int], f1: Sequence[float]) -> LearningCurve | None:
    """Fit a learning curve; None where there are fewer than four sizes, or all within a doubling.

    Args:
        receipts: training receipts of each run.
        f1: its best F1.
    """
    sizes = np.asarray(receipts, dtype=float)
    scores = np.asarray(f1, dtype=float)
    if len(set(receipts)) < LEAST_SIZES or sizes.max() < LEAST_SPREAD * sizes.min():
        return None
    constants = _fit(sizes, scores)
    if constants is None:
        return None
    fitted = _value(sizes, *constants)
    noise = max(float(np.std(scores - fitted, ddof=min(3, len(scores) - 1))), _LEAST_NOISE)
    dice = np.random.default_rng(_SEED)
    drawn = (_fit(sizes, fitted + dice.normal(0, noise, len(sizes)), constants) for _ in range(_RESAMPLES))
    resampled = tuple(one for one in drawn if one is not None)
    return LearningCurve(constants, resampled) if len(resampled) > _RESAMPLES // 2 else None


def _fit(
    sizes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], begin: Constants | None = None
) -> Constants | None:
    start = begin or (min(float(scores.max()) + 0.05, 1.0), 1.0, 0.5)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # of the covariance, which is not used
            found, _ = curve_fit(_value, sizes, scores, p0=start, bounds=_BOUNDS, max_nfev=2000)
    except RuntimeError:  # it did not converge
        return None
    a, b, c = (float(one) for one in found)
    return a, b, c


def _value(receipts: Any, a: float, b: float, c: float) -> Any:
    return a - b * np.power(receipts, -c)


def _inverse(target: float, constants: Constants) -> float:
    a, b, c = constants
    if target >= a:
        return math.inf
    return (b / (a - target)) ** (1 / c) if b else 0.0


def _count(receipts: float) -> int | None:
    return math.ceil(receipts) if receipts <= _MOST_RECEIPTS else None


def expect(situation: AdviceContext, target_f1: float | None) -> Expectation:
    """Fit the learning curve to the best F1 of each number of training receipts, and read it.

    Of several runs with the same number, the best counts: the others were worse for another reason.
    """
    best: dict[int, float] = {}
    for run in situation.comparable:
        if run.train_receipts and run.best_f1 is not None:
            best[run.train_receipts] = max(run.best_f1, best.get(run.train_receipts, 0.0))
    runs = sum(1 for run in situation.comparable if run.train_receipts)

    curve = fit_curve(tuple(best), tuple(best.values())) if len(best) >= LEAST_SIZES else None
    if curve is not None:
        return _read(curve, Expectation(says="", runs=runs, sizes=len(best), target_f1=target_f1), best)
    return Expectation(
        says="What more receipts would bring cannot be told: it takes comparable runs with "
        f"{LEAST_SIZES} different numbers of training receipts, the largest at least {LEAST_SPREAD:g} "
        f"times the smallest, and there are {len(best)}. Train on parts of them, by receipt_keys_s3.",
        runs=runs,
        sizes=len(best),
        target_f1=target_f1,
    )


def _read(curve: LearningCurve, expectation: Expectation, best: Mapping[int, float]) -> Expectation:
    """Read the forecast for twice the receipts, and for the target if there is one, from the curve."""
    receipts, target = 2 * max(best), expectation.target_f1
    f1, low, high = curve.f1(receipts)
    needed, least, most = curve.receipts_for(target) if target is not None else (None, None, None)
    says = (
        f"By {expectation.runs} runs with {min(best)} to {max(best)} training receipts, F1 would be {f1:.3f} "
        f"({low:.3f} to {high:.3f}) with twice as many, {receipts}; the best has {max(best.values()):.3f}."
    )
    return expectation.model_copy(
        update={
            "says": says if target is None else f"{says} {_describe(target, needed, least, most)}",
            "receipts": receipts,
            "f1": f1,
            "f1_interval": Interval(low=low, high=high),
            "receipts_needed": needed,
            "needed_interval": None if target is None else (least, most),
        }
    )


def _describe(target: float, needed: int | None, least: int | None, most: int | None) -> str:
    if needed is None and least is None:
        return f"No number of receipts brings F1 {target:.3f} this way: change labels, model or options."
    if needed is None:
        return f"F1 {target:.3f} is likely out of reach by more receipts alone; it takes {least} at least."
    return f"F1 {target:.3f} takes about {needed} training receipts ({least} to {most or 'no known number'})."
