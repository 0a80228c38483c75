"""A finding with its evidence."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from run_records.lenient_model import LenientModel

FindingName = Literal[
    "divergence",
    "learning_rate_too_high",
    "learning_rate_too_low",
    "overfitting",
    "underfitting",
    "plateau",
    "schedule",
    "early_stopping_missed",
    "label_never_learns",
    "imbalance",
    "over_prediction",
    "under_prediction",
    "unseen_merchants",
    "nothing_to_score",
    "not_comparable",
]
Severity = Literal["info", "warning", "serious"]

_SHOWN = 6


class MetricPoint(LenientModel):
    """A recorded value and the epoch that it comes from."""

    epoch: float
    value: float


class Evidence(LenientModel):
    """What a finding rests on: the name of a metric or setting, with one value or with values by epoch."""

    name: str
    value: float | str | None = None
    points: tuple[MetricPoint, ...] = ()

    def __str__(self) -> str:
        if not self.points:
            return f"{self.name} {_short(self.value)}"
        half = _SHOWN // 2
        shown = [f"{one.value:.4g} (epoch {one.epoch:g})" for one in self.points]
        if len(shown) > _SHOWN:
            shown = [*shown[:half], "…", *shown[-half:]]
        return f"{self.name} {', '.join(shown)}"


class Finding(LenientModel):
    """One fault.

    Attributes:
        severity: `info` costs little, `warning` costs score or time, `serious` makes the run useless.
        says: what was found, in a sentence.
        evidence: the numbers that say it.
        remedy: what to do, with options and values.
        since_epoch: from when on it shows.
        use_checkpoint: the checkpoint to take instead of the last one, as s3:// or as checkpoint-{step}.
    """

    kind: FindingName
    severity: Severity
    says: str
    evidence: tuple[Evidence, ...] = Field(min_length=1)
    remedy: str
    since_epoch: float | None = None
    use_checkpoint: str | None = None


def _short(value: float | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
