"""Detects overfitting, underfitting and plateaus."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from run_analysis.findings.finding import Finding, Severity
from run_analysis.findings.run_context import RunContext
from run_analysis.findings.series import Series

AGAINST_OVERFITTING: Mapping[str, float] = MappingProxyType(
    {"augment_names": 0.5, "augment_mask_tokens": 0.15, "ema_decay": 0.99, "weight_decay": 0.05}
)
"""Options and values that help on a few hundred receipts, as docs/training.md has measured, best first."""

_LEAST = 4
"""Evaluations that a turn takes to show: two before it and two after."""
_SURE = 2.0
"""Standard errors that a difference has to have."""

# Cross-entropy of a model that grows sure of itself rises by a tenth or so in runs whose F1 still rises too,
# and differs by 4 % from one evaluation to the next where few receipts are scored.
_EVAL_RISE = 1.2
# So much of F1 has to be gone to count where the loss has risen less: more than noise makes.
_F1_FALL = 0.025
_F1_SERIOUS = 0.05
_NO_LOSS = 1e-9
# The training loss of a model that learns by heart halves; of one that has stopped learning, it stands.
_TRAIN_FALL = 0.9

# What F1 rises by over the last quarter of what the learning rate moved. Of so much, the next quarter would
# bring about half, since slopes fall.
_QUARTER = 0.25
_RISE = 0.08
# A late rise of F1 alone may be luck; what is still being learned shows in the validation loss, too.
_STILL_FALLS = 0.95

# A model that could take in more has a better F1, a loss that still moves, or a gap between its losses.
_POOR_F1 = 0.6
_LEVEL = 0.85
_NO_GAP = 1.5

# A point is the noise of F1. Eight evaluations without gain are three more than the usual patience, and above
# fifteen it is no patience any more; half a run is too much to shrug at, unless it is short.
_SAME_F1 = 0.01
_PLATEAU_EVALUATIONS = 8
_PLATEAU_MOST = 15
_PLATEAU_EPOCHS = 5
_PLATEAU_SHARE = 0.5
_LEARNED_F1 = 0.3


def find_overfitting(case: RunContext) -> Finding | None:
    """Training loss falls while validation loss rises or F1 falls."""
    train, evaluated, f1 = case.train_loss, case.eval_loss, case.f1
    if min(len(train), len(evaluated), len(f1)) < _LEAST:
        return None
    turn = evaluated.smooth.lowest
    rise = evaluated.end / max(evaluated.smooth.values[turn], _NO_LOSS)
    fall = max(f1.smooth.values) - f1.end
    lost = fall > max(_F1_FALL, _SURE * case.f1_noise) and rise > 1
    if (
        (rise < _EVAL_RISE and not lost)
        or turn >= len(evaluated) - 2
        or not _train_falls(train, evaluated.epochs[turn])
    ):
        return None
    severity: Severity = "serious" if fall > _F1_SERIOUS else "warning" if lost else "info"
    since = evaluated.epochs[turn]
    return Finding(
        kind="overfitting",
        severity=severity,
        says=f"From epoch {since:g} on the training loss falls while the validation loss rises from "
        f"{evaluated.values[turn]:.3g} to {evaluated.last:.3g}"
        + (f" and F1 loses {fall:.3f}." if lost else "; F1 has not suffered yet."),
        evidence=(
            train.evidence(turn, -1) if len(train) == len(evaluated) else train.evidence(),
            evaluated.evidence(turn, -1),
            f1.evidence(f1.highest, -1),
        ),
        remedy=f"Use {case.best_checkpoint}; next time set epochs {math.ceil(_best_epoch(case)) + 2}, "
        f"{_regularise(case)}, or label more receipts.",
        since_epoch=since,
        use_checkpoint=case.best_checkpoint,
    )


def find_underfitting(case: RunContext) -> Finding | None:
    """The run ended while it still improved, or its model cannot take in what it is shown."""
    return _find_unfinished(case) or _find_incapable(case)


def find_plateau(case: RunContext) -> Finding | None:
    """F1 has stood still for most of the run."""
    f1, patience = case.f1, case.options.early_stopping_patience
    # Patience takes its own evaluations, and noise may begin it anew once.
    least = min(max(_PLATEAU_EVALUATIONS, 2 * patience + 3), _PLATEAU_MOST)
    if len(f1) <= least or case.best_f1 < _LEARNED_F1:
        return None
    settled = _settles_at(f1, max(_SAME_F1, case.f1_noise))
    wasted = f1.epochs[-1] - f1.epochs[settled]
    after = len(f1) - 1 - settled
    if after < least or wasted < max(_PLATEAU_EPOCHS, _PLATEAU_SHARE * f1.epochs[-1]):
        return None
    since = f1.epochs[settled]
    return Finding(
        kind="plateau",
        severity="info",
        says=f"F1 has stood at about {f1.smooth.values[settled]:.3f} since epoch {since:g}: {wasted:g} of "
        f"{f1.epochs[-1]:g} epochs brought nothing.",
        evidence=(f1.evidence(settled, f1.highest, -1),),
        remedy=f"Set epochs {math.ceil(since) + 3}; for a better score, change data, labels or model.",
        since_epoch=since,
    )


def _find_unfinished(case: RunContext) -> Finding | None:
    """A run whose F1 still rises, measured by what its learning rate can still move."""
    f1 = case.f1
    if len(f1) < _LEAST - 1 or not case.has_succeeded or case.run.run.early_stopping_triggered:
        return None
    efforts = [case.effort[epoch] for epoch in f1.epochs]
    count = max(_LEAST - 1, sum(done >= (1 - _QUARTER) * efforts[-1] for done in efforts))
    line = f1.tail(count).slope(efforts[-count:], case.f1_noise)
    if line is None:
        return None
    rise, error = (one * _QUARTER * efforts[-1] for one in line)
    if rise < max(_RISE, _SURE * error) or not _still_falls(case.eval_loss, count):
        return None
    since = f1.epochs[-count]
    return Finding(
        kind="underfitting",
        severity="warning",
        says=f"The run ended too soon: F1 still rose from {f1.values[-count]:.3f} at epoch {since:g} to "
        f"{f1.last:.3f}.",
        evidence=tuple(
            one.evidence(*range(-count, 0))
            for one in (f1, case.eval_loss, case.learning_rate)
            if len(one) == len(f1)
        ),
        remedy=f"Set epochs {2 * case.options.epochs}, or, if that takes too long, learning_rate "
        f"{2 * case.peak_rate:.2g}.",
        since_epoch=since,
    )


def _find_incapable(case: RunContext) -> Finding | None:
    train, evaluated = case.train_loss, case.eval_loss
    is_plain = not case.options.label_smoothing and case.options.class_weights == "none"
    if min(len(train), len(evaluated), len(case.f1)) < _LEAST or case.best_f1 >= _POOR_F1 or not is_plain:
        return None
    half = len(train) // 2
    middle = train.smooth.values[half - 1]
    is_level = _LEVEL * middle < train.end < middle / _LEVEL
    if not is_level or evaluated.last > _NO_GAP * train.last:
        return None
    return Finding(
        kind="underfitting",
        severity="serious",
        says=f"Training loss {train.last:.3g} and validation loss {evaluated.last:.3g} are high and level "
        f"since epoch {train.epochs[half - 1]:g}, with F1 {case.best_f1:.3f}: the model cannot take in more.",
        evidence=(*(one.evidence(0, half - 1, -1) for one in (train, evaluated)), case.f1.evidence()),
        remedy="Start from a larger or published pretrained_model than "
        f"{case.options.pretrained_model}, and set augmentation and weight_decay to 0.",
        since_epoch=train.epochs[half - 1],
    )


def _still_falls(evaluated: Series, count: int) -> bool:
    """Whether the loss falls over the last so many evaluations; one that was not recorded refutes nothing."""
    return len(evaluated) < count or evaluated.last < _STILL_FALLS * evaluated.values[-count]


def _train_falls(train: Series, since: float) -> bool:
    before = [value for epoch, value in zip(train.epochs, train.values, strict=True) if epoch <= since]
    return bool(before) and train.end < _TRAIN_FALL * before[-1]


def _settles_at(f1: Series, same: float) -> int:
    """The first evaluation from which on F1, smoothed, is within `same` of the best."""
    smooth = f1.smooth.values
    return next(at for at, value in enumerate(smooth) if value >= max(smooth) - same)


def _best_epoch(case: RunContext) -> float:
    return case.run.best.epoch if case.run.best else case.epochs_done


def _regularise(case: RunContext) -> str:
    """The first measure against overfitting that the run did not take."""
    missing = (
        f"{name} {value:g}"
        for name, value in AGAINST_OVERFITTING.items()
        if getattr(case.options, name) < value
    )
    return next(missing, "label_smoothing 0.1")
