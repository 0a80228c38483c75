"""Evaluations at which a training was thrown back, and from which it came back."""

from __future__ import annotations

from statistics import median

from receipt_layoutlm.analysis.findings.case import Case

# From one epoch to the next, the mean loss of a healthy run falls, or stands within a few per cent.
_SPIKE = 1.25
# Where the loss is nearly zero, it doubles from one epoch to the next in healthy runs, and means nothing.
_SPIKE_OF_START = 0.1
# F1 falls by four points, which noise of one point does once in 400 steps, and a loss jumps with it.
_SWING_F1 = 0.04
# So much is beyond even the noise of a score on twenty receipts.
_STRONG_SWING_F1 = 0.08
# Twice what noise does to a loss on few receipts, and more than it does to the mean of an epoch's steps.
_SWING_EVAL = 1.1
_SWING_TRAIN = 1.05
_ENOUGH = 2
# Of single steps, norms differ severalfold in healthy runs too: this only confirms a jump of a loss.
_GRADIENT_JUMP = 5.0
_LEAST = 4


def find_jumps(case: Case) -> list[int]:
    """Places of the evaluations with jumps; none where a single one may be luck.

    One is enough where F1 falls far and the validation loss jumps, or where the gradient does.
    """
    if len(case.train_loss) < _LEAST:
        return []
    swings = _find_swings(case)
    places = sorted({*_find_spikes(case), *swings})
    strong = any(swings.values()) or any(jumps_gradient(case, at) for at in places)
    return places if strong or len(places) >= _ENOUGH else []


def jumps_gradient(case: Case, place: int) -> bool:
    """Whether the gradient at an evaluation is far above that of the others."""
    norms = case.grad_norm
    return len(norms) == len(case.train_loss) and norms.values[place] > _GRADIENT_JUMP * median(norms.values)


def _find_spikes(case: Case) -> list[int]:
    """Where the training loss jumps, though it comes down again."""
    loss = case.train_loss
    least = _SPIKE_OF_START * loss.values[0]
    return [
        at
        for at, before, value in loss.steps()
        if value > _SPIKE * before and value - before > least and min(loss.values[at:]) < value - least / 2
    ]


def _find_swings(case: Case) -> dict[int, bool]:
    """Where F1 falls and a loss jumps with it, though F1 rises again; and whether that swing is enough."""
    train, evaluated, f1 = case.train_loss, case.eval_loss, case.f1
    if not len(train) == len(evaluated) == len(f1):
        return {}
    found = {}
    for at, before, value in f1.steps():
        jumps = (
            train.values[at] > _SWING_TRAIN * train.values[at - 1],
            evaluated.values[at] > _SWING_EVAL * evaluated.values[at - 1],
        )
        if value < before - _SWING_F1 and any(jumps) and max(f1.values[at:]) > value + _SWING_F1 / 2:
            found[at] = jumps[1] and value < before - _STRONG_SWING_F1
    return found
