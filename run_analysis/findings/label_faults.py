"""Detects labels that are never learned, and imbalance."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from run_analysis.findings.finding import Evidence, Finding, MetricPoint
from run_analysis.findings.run_context import RunContext

LEAST_WORDS = 50
"""Training words below which a label is not expected to be learned: a dozen receipts or so."""

_LEAST = 3
# The others have to be learned, or it is no fault of the label.
_LEARNED_F1 = 0.4
# A label with five true entities has 0.25 by one lucky hit among a few guesses.
_NEVER = 0.15
_ONCE = 0.25
# Receipts have ten to fifty words of product names for each total: a hundred is more than their nature.
_UNEVEN = 100.0
_SCARCE_WORDS = 20
_NAMED = 8


def find_unlearned(case: RunContext) -> Iterator[Finding]:
    """Labels whose F1 stays at nothing: those with too few examples, and those with enough."""
    if len(case.run.epochs) < _LEAST or case.best_f1 < _LEARNED_F1:
        return
    words = count_words(case)
    silent = [name for name in _scored(case) if _is_never_learned(case, name)]
    scarce = [name for name in silent if words.get(name, 0) < LEAST_WORDS] if words else []
    ample = [name for name in silent if name not in scarce]
    if scarce:
        yield _unlearned(
            case,
            scarce,
            f"too few examples: fewer than {LEAST_WORDS} training words",
            f"Validate more labels of {', '.join(scarce)}, merge them into others by label_merges, or leave "
            "them out of allowed_labels.",
        )
    if ample:
        yield _unlearned(
            case,
            ample,
            "though there are examples enough"
            if words
            else "and how many examples there are is not recorded",
            f"Look at the labels of {', '.join(ample)} by layoutlm-cli diagnose-run {case.run.run.name}, and "
            "set class_weights sqrt.",
        )


def find_imbalance(case: RunContext) -> Finding | None:
    """The rarest label has a hundredth of the words of the most frequent one, or hardly any at all."""
    words = count_words(case)
    if not words:
        return None
    ordered = sorted(words.items(), key=lambda one: (one[1], one[0]))
    (_, least), (most_frequent, most) = ordered[0], ordered[-1]
    rare = [name for name, count in ordered if count < max(most / _UNEVEN, _SCARCE_WORDS)][:_NAMED]
    if not rare or len(ordered) == 1:
        return None
    return Finding(
        kind="imbalance",
        severity="info",
        says=f"Training has {most} words of {most_frequent} and only {least} of {rare[0]}.",
        evidence=tuple(
            Evidence(name=f"labels_train {name}", value=float(words[name])) for name in (*rare, most_frequent)
        ),
        remedy=f"Label more {', '.join(rare)}, set class_weights sqrt, or merge or leave out what stays rare "
        "by label_merges and allowed_labels.",
    )


def count_words(case: RunContext) -> dict[str, int]:
    """Training words of each label that is learned, after merging; empty where that is not recorded."""
    recorded = case.run.dataset_counts.get("labels_train")
    if not isinstance(recorded, dict):
        return {}
    merges = case.run.label_merges
    return {
        name: sum(int(recorded.get(source, 0)) for source in dict.fromkeys((name, *merges.get(name, ()))))
        for name in case.run.labels
    }


def _scored(case: RunContext) -> list[str]:
    """Labels that the validation receipts have: without one, F1 is 0 whatever is learned."""
    last = case.run.epochs[-1].per_label_metrics
    return [name for name, scores in last.items() if scores.support]


def _is_never_learned(case: RunContext, name: str) -> bool:
    scores = [value for _, value in _course(case, name)]
    return len(scores) >= _LEAST and max(scores) < _ONCE and median(scores[len(scores) // 2 :]) < _NEVER


def _course(case: RunContext, name: str) -> list[tuple[float, float]]:
    known = [(one.epoch, one.per_label_metrics.get(name)) for one in case.run.epochs]
    return [(epoch, scores.f1) for epoch, scores in known if scores is not None]


def _unlearned(case: RunContext, names: list[str], why: str, remedy: str) -> Finding:
    words, last = count_words(case), case.run.epochs[-1].per_label_metrics
    return Finding(
        kind="label_never_learns",
        severity="warning",
        says=f"{', '.join(names)}: F1 is below {_ONCE:g} in all {len(case.run.epochs)} evaluations, {why}.",
        evidence=tuple(
            one
            for name in names
            for one in (
                Evidence(
                    name=f"f1 {name}",
                    points=tuple(
                        MetricPoint(epoch=epoch, value=value) for epoch, value in _course(case, name)
                    ),
                ),
                Evidence(name=f"support {name}", value=float(last[name].support)),
                *((Evidence(name=f"labels_train {name}", value=float(words[name])),) if words else ()),
            )
        ),
        remedy=remedy,
    )
