"""Detects a schedule or early stopping that did not fit the run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from run_analysis.findings.finding import Evidence, Finding, MetricPoint
from run_analysis.findings.run_context import RunContext
from run_analysis.run import rank_of

# Of the peak, beyond the two steps by which the recorded rate may be behind or ahead; and not once by chance.
_TOLERANCE = 0.03
_LEAST_OFF = 2

# What a request has that does not say otherwise, and as many evaluations again that it would have saved.
_USUAL_PATIENCE = 5
_WASTED_EVALUATIONS = 5
_WASTED_SHARE = 0.25
# A point, or twice the noise: what the best of many more evaluations is better by luck.
_LATE_GAIN = 0.01


def find_schedule(case: RunContext) -> Finding | None:
    """The recorded learning rate is not that of the linear warm-up and decay that the options ask for."""
    per_epoch, rates = case.steps_per_epoch, case.learning_rate
    # A run that continues another one continues its schedule, too.
    if per_epoch is None or not rates.values or case.options.resume_from_s3:
        return None
    total = per_epoch * case.options.epochs
    warmup = math.ceil(case.options.warmup_ratio * total)
    expected = [case.peak_rate * scheduled(epoch * per_epoch, warmup, total) for epoch in rates.epochs]
    allowed = case.peak_rate * (_TOLERANCE + 2 / max(min(warmup, total - warmup), 1))
    off = [at for at, rate in enumerate(rates.values) if abs(rate - expected[at]) > allowed]
    if len(off) < min(_LEAST_OFF, len(rates)):
        return None
    since, worst = rates.epochs[off[0]], max(off, key=lambda at: abs(rates.values[at] - expected[at]))
    return Finding(
        kind="schedule",
        severity="warning",
        says=f"The learning rate is not as configured: {rates.values[worst]:.3g} instead of "
        f"{expected[worst]:.3g} at epoch {rates.epochs[worst]:g}, with a warm-up of {warmup} and a decay "
        f"until {total:.0f} steps.",
        evidence=(
            rates.evidence(),
            Evidence(
                name="expected",
                points=tuple(
                    MetricPoint(epoch=epoch, value=value)
                    for epoch, value in zip(rates.epochs, expected, strict=True)
                ),
            ),
        ),
        remedy="Compare learning_rate, warmup_ratio and epochs of the request with those of run.json, and "
        "train with layoutlm-cli train, which follows them.",
        since_epoch=since,
    )


def scheduled(step: float, warmup: float, total: float) -> float:
    """Share of the peak rate at a step: up to 1 over the warm-up, then down to 0, both in straight lines."""
    if step < warmup:
        return step / warmup
    return max(total - step, 0.0) / max(total - warmup, 1.0)


def find_missed_stop(case: RunContext) -> Finding | None:
    """The run went on after early stopping should have ended it, or had none and needed it."""
    ranks = [rank for one in case.run.epochs if (rank := rank_of(one, case.run.metric)) is not None]
    if len(ranks) != len(case.run.epochs) or not ranks:
        return None
    patience = case.options.early_stopping_patience
    return _past_patience(case, ranks, patience) if patience else _without_patience(case, ranks)


def _past_patience(case: RunContext, ranks: Sequence[float], patience: int) -> Finding | None:
    best = ranks.index(max(ranks))
    after = len(ranks) - 1 - best
    if after <= patience:
        return None
    epochs = [one.epoch for one in case.run.epochs]
    return Finding(
        kind="early_stopping_missed",
        severity="warning",
        says=f"early_stopping_patience is {patience}, and yet {after} evaluations followed the best one, at "
        f"epoch {epochs[best]:g}.",
        evidence=(
            Evidence(name="early_stopping_patience", value=float(patience)),
            _ranks(case, ranks, best, len(ranks) - 1),
        ),
        remedy=f"Use {case.best_checkpoint}, and train with layoutlm-cli train, which stops after "
        f"early_stopping_patience {patience}.",
        since_epoch=epochs[best + patience],
        use_checkpoint=case.best_checkpoint,
    )


def _without_patience(case: RunContext, ranks: Sequence[float]) -> Finding | None:
    stop = _stops_at(ranks, _USUAL_PATIENCE)
    if stop is None:
        return None
    wasted = len(ranks) - 1 - stop
    gain = max(ranks) - max(ranks[: stop + 1])
    if wasted < max(_WASTED_EVALUATIONS, _WASTED_SHARE * len(ranks)) or gain > max(
        _LATE_GAIN, 2 * case.f1_noise
    ):
        return None
    since = case.run.epochs[stop].epoch
    return Finding(
        kind="early_stopping_missed",
        severity="info",
        says=f"early_stopping_patience {_USUAL_PATIENCE} would have ended the run at epoch {since:g}; the "
        f"{wasted} evaluations after it were worth {gain:.3f}.",
        evidence=(
            Evidence(name="early_stopping_patience", value=0.0),
            _ranks(case, ranks, ranks.index(max(ranks[: stop + 1])), stop, len(ranks) - 1),
        ),
        remedy=f"Set early_stopping_patience {_USUAL_PATIENCE}.",
        since_epoch=since,
        use_checkpoint=case.best_checkpoint,
    )


def _stops_at(ranks: Sequence[float], patience: int) -> int | None:
    """The evaluation at which early stopping ends a run of such ranks."""
    best = 0
    for at, rank in enumerate(ranks):
        if rank > ranks[best]:
            best = at
        elif at - best >= patience:
            return at
    return None


def _ranks(case: RunContext, ranks: Sequence[float], *places: int) -> Evidence:
    points = (MetricPoint(epoch=case.run.epochs[at].epoch, value=ranks[at]) for at in sorted(set(places)))
    return Evidence(name=case.run.metric, points=tuple(points))
