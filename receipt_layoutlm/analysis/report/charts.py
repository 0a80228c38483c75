"""All charts of one run by name, for every page that shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from receipt_layoutlm.analysis.report import label_charts, timeline
from receipt_layoutlm.analysis.report.curves import (
    gradient_chart,
    learning_rate_chart,
    loss_chart,
    memory_chart,
    score_chart,
    speed_chart,
    utilization_chart,
)
from receipt_layoutlm.analysis.report.theme import Spec
from receipt_layoutlm.analysis.run import RunDetail


@dataclass(frozen=True, slots=True)
class ChartKind:
    """A chart that a run may have.

    Attributes:
        title: what stands above it.
        draw: its spec, or None where the run has not recorded what it shows.
        wide: whether it needs the room of a desk's screen; narrower, it is moved sideways.
    """

    title: str
    draw: Callable[[RunDetail], Spec | None]
    wide: bool = False


CHARTS: Mapping[str, ChartKind] = {
    "loss": ChartKind("Loss", lambda run: loss_chart(run.epochs, run.best)),
    "scores": ChartKind("F1, precision and recall", lambda run: score_chart(run.epochs, run.best)),
    "learning_rate": ChartKind("Learning rate", lambda run: learning_rate_chart(run.epochs)),
    "gradients": ChartKind("Gradient norm", lambda run: gradient_chart(run.epochs)),
    "labels": ChartKind("Scores of each label, best epoch", lambda run: label_charts.label_bars(run.best)),
    "label_history": ChartKind(
        "F1 of each label over epochs", lambda run: label_charts.label_history(run.epochs), wide=True
    ),
    "confusion": ChartKind(
        "What was taken for what, best epoch",
        lambda run: label_charts.confusion_chart(run.best, run.labels),
        wide=True,
    ),
    "timeline": ChartKind("Statuses over time", timeline.timeline_chart),
    "speed": ChartKind("Speed", lambda run: speed_chart(run.epochs)),
    "memory": ChartKind("Peak memory", lambda run: memory_chart(run.epochs)),
    "utilization": ChartKind("Accelerator", lambda run: utilization_chart(run.epochs)),
}


def charts_of(detail: RunDetail) -> dict[str, Spec]:
    """Vega-Lite specs of the charts that the run has numbers for, by their names in CHARTS."""
    return {name: spec for name, kind in CHARTS.items() if (spec := kind.draw(detail)) is not None}
