"""What more receipts are worth, by the runs that can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from receipt_layoutlm.analysis.advice.proposal import Expectation
from receipt_layoutlm.analysis.advice.situation import Situation
from run_records.scores import Bounds

if TYPE_CHECKING:
    from receipt_layoutlm.analysis.advice.curve import LearningCurve


def expect(situation: Situation, target_f1: float | None) -> Expectation:
    """Fit the learning curve to the best F1 of each number of training receipts, and read it.

    Of several runs with the same number, the best counts: the others were worse for another reason.
    """
    best: dict[int, float] = {}
    for run in situation.comparable:
        if run.train_receipts and run.best_f1 is not None:
            best[run.train_receipts] = max(run.best_f1, best.get(run.train_receipts, 0.0))
    runs = sum(1 for run in situation.comparable if run.train_receipts)
    # Imported here: a first run, or one alone, needs no scipy.
    from receipt_layoutlm.analysis.advice.curve import LEAST_SIZES, LEAST_SPREAD, fit_curve  # noqa: PLC0415

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
    """What the curve says of twice the receipts, and of the target where there is one."""
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
            "f1_interval": Bounds(low=low, high=high),
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
