"""The table of detectors, and which finding explains which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from run_analysis.findings.divergence import find_divergence
from run_analysis.findings.finding import Finding, FindingName, Severity
from run_analysis.findings.generalisation import (
    find_incomparable,
    find_over_prediction,
    find_under_prediction,
    find_unscorable,
    find_unseen_merchants,
)
from run_analysis.findings.label_faults import find_imbalance, find_unlearned
from run_analysis.findings.learning_rate import find_too_high, find_too_low
from run_analysis.findings.over_underfitting import find_overfitting, find_plateau, find_underfitting
from run_analysis.findings.run_context import RunContext
from run_analysis.findings.schedule import find_missed_stop, find_schedule
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary

_DETECTORS: tuple[Callable[[RunContext], Finding | Iterable[Finding] | None], ...] = (
    find_unscorable,
    find_divergence,
    find_too_high,
    find_too_low,
    find_overfitting,
    find_underfitting,
    find_plateau,
    find_schedule,
    find_missed_stop,
    find_unlearned,
    find_imbalance,
    find_over_prediction,
    find_under_prediction,
    find_unseen_merchants,
    find_incomparable,
)

_WRONG_RATE = frozenset[FindingName](
    {
        "underfitting",
        "plateau",
        "label_never_learns",
        "over_prediction",
        "under_prediction",
        "unseen_merchants",
    }
)
_BY_SCORES = _WRONG_RATE | frozenset[FindingName](
    {"learning_rate_too_high", "learning_rate_too_low", "overfitting", "schedule", "early_stopping_missed"}
)
EXPLAINS: Mapping[FindingName, frozenset[FindingName]] = MappingProxyType(
    {
        "nothing_to_score": _BY_SCORES,
        "divergence": _WRONG_RATE | {"overfitting", "learning_rate_too_low", "early_stopping_missed"},
        "learning_rate_too_high": _WRONG_RATE | {"learning_rate_too_low"},
        "learning_rate_too_low": _WRONG_RATE | {"early_stopping_missed"},
        "overfitting": frozenset[FindingName]({"plateau"}),
        "underfitting": frozenset[FindingName]({"under_prediction"}),
    }
)
"""A fault, and those which only follow from it: they go when it goes, and are not said beside it."""

_ORDER: Mapping[Severity, int] = MappingProxyType({"serious": 0, "warning": 1, "info": 2})


def detect_findings(run: RunDetail, others: Sequence[RunSummary] = ()) -> tuple[Finding, ...]:
    """The faults that a run's metrics are evidence of, the worst first; none without evidence.

    Args:
        run: the run, whether it has ended or not.
        others: runs that its score may be held against.
    """
    case = RunContext(run, others)
    found = [finding for detector in _DETECTORS for finding in _as_findings(detector(case))]
    explained = {kind for finding in found for kind in EXPLAINS.get(finding.kind, ())}
    return tuple(
        sorted(
            (finding for finding in found if finding.kind not in explained),
            key=lambda one: _ORDER[one.severity],
        )
    )


def _as_findings(found: Finding | Iterable[Finding] | None) -> Iterable[Finding]:
    return () if found is None else (found,) if isinstance(found, Finding) else found
