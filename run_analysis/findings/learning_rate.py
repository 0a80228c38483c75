"""Detects a learning rate that is too high or too low."""

from __future__ import annotations

import math
from statistics import median

from run_analysis.findings.divergence import FAR, breaks_at, lower_rate, more_warmup
from run_analysis.findings.finding import Evidence, Finding, Severity
from run_analysis.findings.run_context import RunContext
from run_analysis.findings.series import show_recorded

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
_LEAST_STEPS = 4


def find_jumps(case: RunContext) -> list[int]:
    """Places of the evaluations with jumps; none where a single one may be luck.

    One is enough where F1 falls far and the validation loss jumps, or where the gradient does.
    """
    if len(case.train_loss) < _LEAST_STEPS:
        return []
    swings = _find_swings(case)
    places = sorted({*_find_spikes(case), *swings})
    strong = any(swings.values()) or any(jumps_gradient(case, at) for at in places)
    return places if strong or len(places) >= _ENOUGH else []


def jumps_gradient(case: RunContext, place: int) -> bool:
    """Whether the gradient at an evaluation is far above that of the others."""
    norms = case.grad_norm
    return len(norms) == len(case.train_loss) and norms.values[place] > _GRADIENT_JUMP * median(norms.values)


def _find_spikes(case: RunContext) -> list[int]:
    """Indexes at which the training loss jumps, and falls again later."""
    loss = case.train_loss
    least = _SPIKE_OF_START * loss.values[0]
    return [
        at
        for at, before, value in loss.steps()
        if value > _SPIKE * before and value - before > least and min(loss.values[at:]) < value - least / 2
    ]


def _find_swings(case: RunContext) -> dict[int, bool]:
    """Indexes at which F1 falls while a loss jumps, and F1 rises again; and whether that swing is enough."""
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


_LEAST_EPOCHS = 3
"""Evaluations below which a course cannot be told from its start."""
_LEAST_FOR_PACE = 6

# Below the first a run has learned next to nothing, below the second it is of no use.
_UNLEARNED_F1 = 0.3
_LOW_F1 = 0.5
# The lower edge of the learning rates that work, about.
_FAR_BELOW = 0.25
# Noise of a loss, above which it does not creep but rises, for which a low rate is not to blame.
_RISES = 1.05

# The upper edge: at such a rate half of a run is more than enough, unless only the other half could learn.
_FAR_ABOVE = 4.0
_LATE_RISE = 0.1


def find_too_high(case: RunContext) -> Finding | None:
    """Losses jump and F1 swings, or nothing is learned before the rate has come down."""
    return _find_jumpy(case) or _find_early_break(case) or _find_stuck(case) or _find_late(case)


def find_too_low(case: RunContext) -> Finding | None:
    """Losses fall by little and steadily, far from where they could be, at a rate far below the usual one."""
    train, evaluated = case.train_loss, case.eval_loss
    is_low = case.peak_rate <= _FAR_BELOW * case.usual_rate and case.best_f1 < _LOW_F1
    if not is_low or min(len(train), len(evaluated), len(case.f1)) < _LEAST_EPOCHS:
        return None
    start = -math.ceil(len(train) / 3) - 1
    if any(one.end > _RISES * one.values[start] for one in (train, evaluated)):
        return None
    return Finding(
        kind="learning_rate_too_low",
        severity="serious",
        says=f"With learning_rate {case.peak_rate:.2g} the training loss only creeps, from "
        f"{train.values[start]:.3g} at epoch {train.epochs[start]:g} to {train.last:.3g} at epoch "
        f"{train.epochs[-1]:g}, and F1 is {case.best_f1:.3f}.",
        evidence=(_rate(case), *show_recorded(train, evaluated, case.f1)),
        remedy=_usual(case),
        since_epoch=train.epochs[0],
    )


def _find_jumpy(case: RunContext) -> Finding | None:
    """A training that was thrown back, and came back."""
    places, loss = find_jumps(case), case.train_loss
    if not places:
        return None
    severity: Severity = "serious" if case.best_f1 < _LOW_F1 else "warning"
    around = sorted({at + aside for at in places for aside in (-1, 0)})
    curves = [one for one in (loss, case.eval_loss, case.f1) if len(one) == len(loss)]
    gradients = (case.grad_norm,) if any(jumps_gradient(case, at) for at in places) else ()
    return Finding(
        kind="learning_rate_too_high",
        severity=severity,
        says=f"With learning_rate {case.peak_rate:.2g} losses jump and F1 swings, first at epoch "
        f"{loss.epochs[places[0]]:g} and {len(places)} times in all.",
        evidence=(_rate(case), *(one.evidence(*around) for one in (*curves, *gradients))),
        remedy=f"Set learning_rate {lower_rate(case):.2g}; if the jumps come early, warmup_ratio "
        f"{more_warmup(case):.2g} too.",
        since_epoch=loss.epochs[places[0]],
        use_checkpoint=case.best_checkpoint,
    )


def _find_early_break(case: RunContext) -> Finding | None:
    """A training that broke while its rate was near the peak."""
    loss, rate, since = case.train_loss, case.learning_rate, breaks_at(case)
    if since is None or len(rate) != len(loss) or rate.values[since + 1] < case.peak_rate / 2:
        return None
    return Finding(
        kind="learning_rate_too_high",
        severity="serious",
        says=f"The training broke after epoch {loss.epochs[since]:g}, while the learning rate was "
        f"{rate.values[since + 1]:.2g}, near its peak of {case.peak_rate:.2g}.",
        evidence=(rate.evidence(since, since + 1), loss.evidence(since, since + 1, -1)),
        remedy=f"Set learning_rate {lower_rate(case):.2g} and warmup_ratio {more_warmup(case):.2g}.",
        since_epoch=loss.epochs[since],
    )


def _find_stuck(case: RunContext) -> Finding | None:
    """A rate far above the usual one at which nearly nothing was learned."""
    if (
        len(case.f1) < _LEAST_EPOCHS
        or case.best_f1 >= _UNLEARNED_F1
        or case.peak_rate < FAR * case.usual_rate
    ):
        return None
    return Finding(
        kind="learning_rate_too_high",
        severity="serious",
        says=f"With learning_rate {case.peak_rate:.2g}, {case.peak_rate / case.usual_rate:.0f} times the "
        f"usual one, F1 never rose above {case.best_f1:.3f}.",
        evidence=(_rate(case), *show_recorded(case.f1, case.train_loss)),
        remedy=_usual(case),
        since_epoch=case.f1.epochs[0],
    )


def _find_late(case: RunContext) -> Finding | None:
    """A rate far above the usual one at which much was learned only once it had come down."""
    f1, efforts = case.f1, [case.effort[epoch] for epoch in case.f1.epochs]
    if len(f1) < _LEAST_FOR_PACE or case.peak_rate < _FAR_ABOVE * case.usual_rate:
        return None
    half = next((at for at, done in enumerate(efforts) if done > efforts[-1] / 2), len(f1) - 1)
    if f1.end - f1.values[half] < _LATE_RISE:
        return None
    return Finding(
        kind="learning_rate_too_high",
        severity="warning",
        says=f"With learning_rate {case.peak_rate:.2g} F1 was {f1.values[half]:.3f} at epoch "
        f"{f1.epochs[half]:g}, and rose to {f1.last:.3f} only as the rate came down.",
        evidence=(_rate(case), *show_recorded(f1, case.learning_rate)),
        remedy=f"Set learning_rate {lower_rate(case):.2g}.",
        since_epoch=f1.epochs[0],
    )


def _rate(case: RunContext) -> Evidence:
    return Evidence(name="learning_rate", value=case.peak_rate)


def _usual(case: RunContext) -> str:
    return f"Set learning_rate {case.usual_rate:.2g}, the usual one for {case.options.pretrained_model}."
