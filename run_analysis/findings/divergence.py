"""Detects a diverging loss."""

from __future__ import annotations

from run_analysis.findings.finding import Evidence, Finding
from run_analysis.findings.run_context import RunContext
from run_analysis.findings.series import Series, show_recorded

FAR = 5.0
"""Learning rates that work spread over about a factor of ten around the usual one; this is at the edge."""

_LEAST = 3
# A tenth above the first epoch's mean, most of which was spent on learning: nothing healthy comes back there.
_ABOVE_START = 1.1
# Thrice its lowest and half of F1 gone: no noise of either is so large.
_ABOVE_LOWEST = 3.0
_F1_LEFT = 0.5
# Near zero, thrice as much is still nothing.
_OF_START = 0.1


def find_divergence(case: RunContext) -> Finding | None:
    """The training loss has exploded, or the model has forgotten what it knew."""
    loss, failure = case.train_loss, _failure(case)
    since = breaks_at(case)
    if failure is None and since is None:
        return None
    best = f" Until then, take {case.best_checkpoint}." if case.best_f1 > 0 else ""
    says = (
        f"The training loss rises from {loss.values[since]:.3g} at epoch {loss.epochs[since]:g} to "
        f"{loss.last:.3g} and does not come back."
        if since is not None
        else "The training was ended because its loss exploded."
    )
    return Finding(
        kind="divergence",
        severity="serious",
        says=says,
        evidence=(
            *((failure,) if failure else ()),
            *show_recorded(loss, case.f1),
        ),
        remedy=f"Set learning_rate {lower_rate(case):.2g} and warmup_ratio {more_warmup(case):.2g}.{best}",
        since_epoch=None if since is None else loss.epochs[since],
        use_checkpoint=case.best_checkpoint if case.best_f1 > 0 else None,
    )


def breaks_at(case: RunContext) -> int | None:
    """The index at which the training loss was lowest before it rose for good."""
    loss, f1 = case.train_loss, case.f1
    if len(loss) < _LEAST:
        return None
    lowest = Series(loss.name, loss.epochs[:-1], loss.values[:-1]).lowest
    exploded = min(loss.values[-2:]) > _ABOVE_START * loss.values[0] and lowest < len(loss) - 1
    forgot = (
        len(f1) >= _LEAST
        and loss.end > max(_ABOVE_LOWEST * loss.values[lowest], _OF_START * loss.values[0])
        and f1.end < _F1_LEFT * case.best_f1
    )
    return lowest if exploded or forgot else None


def _failure(case: RunContext) -> Evidence | None:
    """The error of an attempt that ended because of the divergence."""
    said = [one.message for one in case.run.failures if one.error_class.lower() == "diverged"]
    return Evidence(name="failure", value=said[-1]) if said else None


def lower_rate(case: RunContext) -> float:
    """A third, but no more than the usual rate where it was far above that."""
    third = case.peak_rate / 3
    return min(third, case.usual_rate) if case.peak_rate > FAR * case.usual_rate else third


def more_warmup(case: RunContext) -> float:
    """Twice the warm-up, a tenth of all steps at least and three tenths at most."""
    return min(max(2 * case.options.warmup_ratio, 0.1), 0.3)
