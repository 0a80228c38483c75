"""Labelled shapes of runs: each fault at several strengths, with the findings to expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from run_analysis.findings.finding import FindingName
from tests.support.curves import LABELS, Shape

_ENDLESS: Mapping[str, Any] = {"early_stopping_patience": 0}
_SCRATCH: Mapping[str, Any] = {"pretrained_model": "scratch:tiny"}
_RARE = {**LABELS, "TIP": 9}
_COMMON = {**LABELS, "TAX": 160}


@dataclass(frozen=True)
class Labelled:
    """A shape and the faults that such a run has."""

    shape: Shape
    faults: frozenset[FindingName] = frozenset()


def _with(*faults: FindingName, **shape: Any) -> Labelled:
    return Labelled(Shape(**shape), frozenset(faults))


HEALTHY: Mapping[str, Labelled] = {
    "healthy": _with(),
    "healthy, fast": _with(epochs=6, pace=0.5),
    "healthy, three epochs": _with(epochs=3, pace=0.25, rise=0.0),
    "healthy, slow": _with(epochs=30, pace=3.0),
    "healthy, noisy": _with(epochs=15, noise=0.015),
    "healthy, few receipts": _with(epochs=14, noise=0.018, rise=0.1, ceiling=0.75),
    "healthy, from scratch": _with(options=_SCRATCH, ceiling=0.78, rise=0.1),
    "healthy, scored four times an epoch": _with(epochs=4, evaluations=4, pace=0.45),
    "healthy, without early stopping": _with(epochs=10, pace=1.3, options=_ENDLESS),
    "healthy, half the rate": _with(rate=0.5, epochs=20, pace=1.2),
    "healthy, twice the rate": _with(rate=2.0, epochs=10, pace=1.6),
    "healthy, hard labels": _with(ceiling=0.62, pace=1.3),
    "healthy, long warm-up": _with(options={"warmup_ratio": 0.3}, epochs=14),
    "healthy, few receipts and sure of itself": _with(epochs=12, noise=0.018, rise=0.14, ceiling=0.7),
    "healthy, scored on very few": _with(epochs=12, noise=0.022, ceiling=0.75),
    "healthy, some unlike the others": _with(unseen_gap=0.06, found_of_true=0.92),
    "one epoch": _with(epochs=1),
    "two epochs": _with(epochs=2),
}

FAULTY: Mapping[str, Labelled] = {
    "overfitting, losses only": _with(
        "overfitting", epochs=14, pace=0.9, rise=0.6, options={"early_stopping_patience": 12}
    ),
    "overfitting, mild": _with(
        "overfitting", epochs=14, pace=0.7, rise=0.5, options={"early_stopping_patience": 12}
    ),
    "overfitting": _with(
        "overfitting", epochs=14, pace=0.9, rise=0.8, decline=0.05, options={"early_stopping_patience": 12}
    ),
    "overfitting, strong": _with(
        "overfitting", epochs=14, pace=0.7, rise=1.5, decline=0.1, options={"early_stopping_patience": 12}
    ),
    "overfitting, for long": _with(
        "overfitting", "early_stopping_missed", epochs=30, pace=1.0, rise=1.2, decline=0.06, options=_ENDLESS
    ),
    "overfitting, scored twice an epoch": _with(
        "overfitting",
        evaluations=2,
        epochs=10,
        pace=0.6,
        rise=1.0,
        decline=0.07,
        options={"early_stopping_patience": 18},
    ),
    "too short": _with("underfitting", epochs=3, pace=1.4),
    "too short, five epochs": _with("underfitting", epochs=5, pace=2.0),
    "too short, six epochs": _with("underfitting", epochs=6, pace=1.8),
    "too short, ten epochs": _with("underfitting", epochs=10, pace=4.0),
    "too short, scored often": _with("underfitting", epochs=3, evaluations=4, pace=1.2),
    "model too small": _with("underfitting", epochs=10, pace=0.8, capacity=0.45, rise=0.02, options=_ENDLESS),
    "model far too small": _with(
        "underfitting", epochs=12, pace=0.8, capacity=0.25, rise=0.02, options=_ENDLESS
    ),
    "breaks early": _with(
        "divergence", "learning_rate_too_high", breaks_at=0.25, epochs=10, pace=0.6, options=_ENDLESS
    ),
    "breaks at a third": _with(
        "divergence", "learning_rate_too_high", breaks_at=0.35, epochs=14, pace=0.8, options=_ENDLESS
    ),
    "breaks late": _with("divergence", breaks_at=0.7, epochs=12, options=_ENDLESS),
    "breaks last": _with("divergence", breaks_at=0.8, epochs=16, pace=1.0, options=_ENDLESS),
    "rate six times too high": _with("learning_rate_too_high", rate=6.0, epochs=14, options=_ENDLESS),
    "rate eight times too high": _with("learning_rate_too_high", rate=8.0, epochs=12, options=_ENDLESS),
    "rate ten times too high, from scratch": _with(
        "learning_rate_too_high", rate=10.0, options={**_ENDLESS, **_SCRATCH}
    ),
    "rate twenty times too high": _with("learning_rate_too_high", rate=20.0, epochs=10, options=_ENDLESS),
    "rate thirty times too high": _with("learning_rate_too_high", rate=33.0, epochs=8, options=_SCRATCH),
    "rate a tenth": _with("learning_rate_too_low", rate=0.1, epochs=10),
    "rate a fifteenth, from scratch": _with("learning_rate_too_low", rate=0.067, epochs=14, options=_SCRATCH),
    "rate a thirtieth": _with("learning_rate_too_low", rate=0.03, epochs=12),
    "rate a hundredth": _with("learning_rate_too_low", rate=0.01, epochs=10, options=_ENDLESS),
    "rate a tenth, for long": _with(
        "learning_rate_too_low", rate=0.06, epochs=30, pace=2.0, options=_ENDLESS
    ),
    "constant rate": _with("schedule", schedule="constant"),
    "no warm-up": _with("schedule", schedule="no warm-up", options={"warmup_ratio": 0.3}),
    "cosine": _with("schedule", schedule="cosine", epochs=10),
    "decay ends early": _with("schedule", schedule="ends early", epochs=12, pace=1.0),
    "twice the configured rate": _with("schedule", schedule="doubled", epochs=8, pace=1.8),
    "goes on for nothing": _with("plateau", "early_stopping_missed", epochs=40, pace=1.0, options=_ENDLESS),
    "goes on for nothing, thirty epochs": _with(
        "plateau", "early_stopping_missed", epochs=30, pace=0.7, options=_ENDLESS, noise=0.007
    ),
    "patience too long": _with("plateau", epochs=30, pace=0.8, options={"early_stopping_patience": 40}),
    "disobeys patience": _with(
        "early_stopping_missed",
        "overfitting",
        epochs=16,
        pace=0.8,
        rise=0.8,
        decline=0.08,
        options={"early_stopping_patience": 2},
        obeys_patience=False,
    ),
    "rare label never learned": _with("label_never_learns", "imbalance", words=_RARE, silent=("TIP",)),
    "label never learned though frequent": _with("label_never_learns", words=_COMMON, silent=("TAX",)),
    "two labels never learned": _with(
        "label_never_learns", "imbalance", words={**_RARE, "TAX": 160}, silent=("TIP", "TAX"), epochs=15
    ),
    "uneven labels": _with("imbalance", words={**LABELS, "COUPON": 8}),
    "very uneven labels": _with("imbalance", words={"PRODUCT_NAME": 9000, "DATE": 300, "REFUND": 40}),
    "finds somewhat too much": _with("over_prediction", found_of_true=1.4),
    "finds too much": _with("over_prediction", found_of_true=1.6),
    "finds far too much": _with("over_prediction", found_of_true=2.5, ceiling=0.6),
    "finds too little": _with("under_prediction", found_of_true=0.6, ceiling=0.7),
    "reads unseen merchants worse": _with("unseen_merchants", unseen_gap=0.14),
    "fails on unseen merchants": _with("unseen_merchants", unseen_gap=0.2),
    "fails badly on unseen merchants": _with("unseen_merchants", unseen_gap=0.4, ceiling=0.7),
    "not pinned": _with("not_comparable", pinned=False),
    "not pinned, overfitting": _with(
        "not_comparable",
        "overfitting",
        pinned=False,
        epochs=14,
        pace=0.8,
        rise=1.0,
        decline=0.06,
        options={"early_stopping_patience": 12},
    ),
    "too short, decay ends early": _with("underfitting", "schedule", schedule="cosine", epochs=6, pace=2.2),
    "overfitting, rare label": _with(
        "overfitting",
        "imbalance",
        "label_never_learns",
        epochs=14,
        pace=0.8,
        rise=1.0,
        decline=0.06,
        words=_RARE,
        silent=("TIP",),
        options={"early_stopping_patience": 12},
    ),
    "rate too low, not pinned": _with("learning_rate_too_low", "not_comparable", rate=0.05, pinned=False),
    "rate too high, constant": _with(
        "learning_rate_too_high", "schedule", rate=7.0, schedule="constant", epochs=10, options=_ENDLESS
    ),
}
