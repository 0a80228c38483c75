"""The chart registry and the curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from run_analysis.report import label_charts, timeline
from run_analysis.report.theme import DASHES, SERIES, SOFT, Row, Spec, data, finish, rounded
from run_analysis.run import RunDetail
from run_records.epoch_record import EpochFacts

GIGABYTE = 1_000_000_000

_LOSSES = {"train_loss": "training", "eval_loss": "validation"}
_SCORES = {
    "eval_f1": "F1",
    "eval_f1_constrained": "F1, BIO allowed",
    "eval_precision": "precision",
    "eval_recall": "recall",
}
_MEMORY = {"gpu_memory_used": "accelerator", "memory_used": "process"}


def loss_chart(epochs: Sequence[EpochFacts], best: EpochFacts | None = None) -> Spec | None:
    """Loss in nats on the training and on the validation receipts; None where none was recorded."""
    return _curves(epochs, _LOSSES, "loss (nats)", best)


def score_chart(epochs: Sequence[EpochFacts], best: EpochFacts | None = None) -> Spec | None:
    """Entity F1 of both decodings, precision and recall; the band is the 95 % interval of F1."""
    return _curves(epochs, _SCORES, "score", best, band=_band(epochs))


def learning_rate_chart(epochs: Sequence[EpochFacts]) -> Spec | None:
    """The learning rate of the last step before each evaluation."""
    return _curves(epochs, {"learning_rate": "learning rate"}, "learning rate", ticks="~e")


def gradient_chart(epochs: Sequence[EpochFacts]) -> Spec | None:
    """The L2 norm of the gradients before clipping."""
    return _curves(epochs, {"grad_norm": "gradient norm"}, "L2 norm")


def speed_chart(epochs: Sequence[EpochFacts]) -> Spec | None:
    """Training windows a second."""
    return _curves(epochs, {"samples_per_second": "training"}, "windows per second")


def memory_chart(epochs: Sequence[EpochFacts]) -> Spec | None:
    """Peak memory in GB of the accelerator and of the process."""
    return _curves(epochs, _MEMORY, "peak memory (GB)", per=GIGABYTE)


def utilization_chart(epochs: Sequence[EpochFacts]) -> Spec | None:
    """The chart of the accelerator's utilisation, in per cent."""
    return _curves(epochs, {"gpu_utilization": "accelerator"}, "utilization (%)")


def overlay(runs: Mapping[str, Sequence[EpochFacts]], field: str, title: str) -> Spec | None:
    """One figure of several runs in one chart, a line for each."""
    rows = [row for name, epochs in runs.items() for row in _rows(epochs, {field: name})]
    return _lines(rows, title) if rows else None


def _curves(  # noqa: PLR0913 - what charts of evaluations differ in
    epochs: Sequence[EpochFacts],
    series: Mapping[str, str],
    title: str,
    best: EpochFacts | None = None,
    *,
    band: list[Row] | None = None,
    ticks: Any = alt.Undefined,
    per: float = 1,
) -> Spec | None:
    rows = _rows(epochs, series, per)
    return _lines(rows, title, best, band=band, ticks=ticks) if rows else None


def _rows(epochs: Sequence[EpochFacts], series: Mapping[str, str], per: float = 1) -> list[Row]:
    return [
        {"epoch": rounded(one.epoch), "what": name, "value": rounded(value / per)}
        for field, name in series.items()
        for one in epochs
        if (value := getattr(one, field)) is not None
    ]


def _band(epochs: Sequence[EpochFacts]) -> list[Row]:
    return [
        {"epoch": rounded(one.epoch), "low": rounded(bounds.low), "high": rounded(bounds.high)}
        for one in epochs
        if (bounds := one.eval_f1_interval) is not None
    ]


def _lines(
    rows: list[Row],
    title: str,
    best: EpochFacts | None = None,
    *,
    band: list[Row] | None = None,
    ticks: Any = alt.Undefined,
) -> Spec:
    names = list(dict.fromkeys(row["what"] for row in rows))
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, grid=False))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(format=ticks))
    legend = alt.Legend() if len(names) > 1 else None
    lines = (
        alt.Chart(data(rows))
        .mark_line(point=alt.OverlayMarkDef(size=18, filled=True), strokeWidth=2)
        .encode(
            x=x,
            y=y,
            color=alt.Color("what:N", scale=_scale(names, SERIES), legend=legend),
            strokeDash=alt.StrokeDash("what:N", scale=_scale(names, DASHES, shift=1), legend=legend),
            tooltip=["what:N", "epoch:Q", alt.Tooltip("value:Q", title=title)],
        )
    )
    layers = [_interval(band), lines] if band else [lines]
    if best is not None:
        layers.append(_mark_best(best))
    described = f"{title} by epoch: {', '.join(names)}."
    return finish(alt.layer(*layers), described)


def _scale(names: Sequence[str], kinds: Sequence[object], shift: int = 0) -> alt.Scale:
    """Kinds in turn; each round begins `shift` later, so that a colour comes back with another dash."""
    count = len(kinds)
    return alt.Scale(
        domain=names, range=[kinds[(at + at // count * shift) % count] for at in range(len(names))]
    )


def _interval(band: list[Row]) -> alt.Chart:
    return (
        alt.Chart(data(band))
        .mark_area(color=SERIES[0], opacity=0.14)
        .encode(x="epoch:Q", y="low:Q", y2="high:Q")
    )


def _mark_best(best: EpochFacts) -> alt.LayerChart:
    at = alt.Chart(data([{"epoch": rounded(best.epoch)}])).encode(x="epoch:Q")
    label = at.mark_text(baseline="bottom", dy=-2, color=SOFT).encode(y=alt.value(0), text=alt.value("best"))
    return alt.layer(at.mark_rule(strokeDash=[3, 3]), label)


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
