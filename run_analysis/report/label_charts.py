"""Charts by label."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from run_analysis.report.theme import ROW_HEIGHT, SERIES, Row, Spec, data, finish, rounded
from run_records.epoch_record import EpochFacts

OUTSIDE = "O"
NO_LABEL = "no label"
_MOST_NUMBERED = 16
"""Evaluations beside which there is room for a number each."""


def labels_by_support(epochs: Sequence[EpochFacts]) -> list[str]:
    """The labels with the most true entities first, by the last evaluation that has them."""
    support = {name: one.support for epoch in epochs for name, one in epoch.per_label_metrics.items()}
    return sorted(support, key=lambda name: (-support[name], name))


def label_bars(epoch: EpochFacts | None) -> Spec | None:
    """F1 of each label as a bar, its precision and recall as ticks on it."""
    scores = {name: one for name, one in (epoch.per_label_metrics if epoch else {}).items() if one.support}
    if epoch is None or not scores:
        return None
    rows = [
        {"label": name, "what": what, "score": rounded(getattr(one, field)), "entities": one.support}
        for name, one in scores.items()
        for field, what in _KINDS.items()
    ]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("score:Q", scale=alt.Scale(domain=[0, 1]), title="score", axis=alt.Axis(tickCount=5)),
        y=alt.Y(
            "label:N",
            sort=labels_by_support([epoch]),
            title=None,
            axis=alt.Axis(ticks=False, domain=False),
        ),
        tooltip=_tooltips(rows[0]),
    )
    kinds = list(_KINDS.values())
    color = alt.Color("what:N", scale=alt.Scale(domain=kinds, range=list(SERIES[:3])))
    shape = alt.Shape("what:N", scale=alt.Scale(domain=kinds, range=["square", "diamond", "circle"]))
    legend = alt.Legend(symbolType=alt.Undefined, symbolSize=70)
    bars = base.transform_filter("datum.what === 'F1'").mark_bar(opacity=0.35, height=13).encode(color=color)
    points = (
        base.transform_filter("datum.what !== 'F1'")
        .mark_point(size=42, filled=False, strokeWidth=1.8)
        .encode(color=color.legend(legend), shape=shape.legend(legend))
    )
    described = "F1, precision and recall of each label at the best epoch."
    return finish(alt.layer(bars, points), described, height=ROW_HEIGHT * len(scores))


_KINDS = {"f1": "F1", "precision": "precision", "recall": "recall"}


def label_history(epochs: Sequence[EpochFacts]) -> Spec | None:
    """F1 of each label at each evaluation, as a field that is darker the better."""
    rows = [
        {"epoch": rounded(epoch.epoch), "label": name, "F1": rounded(one.f1)}
        for epoch in epochs
        for name, one in epoch.per_label_metrics.items()
        if one.support
    ]
    if not rows:
        return None
    marks = _field(
        rows,
        x=alt.X("epoch:O", title="epoch", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        y=alt.Y("label:N", sort=labels_by_support(epochs), title=None),
        share="F1",
        text=alt.Text("F1:Q", format=".2f") if len(epochs) <= _MOST_NUMBERED else None,
    )
    described = "F1 of each label by epoch; darker is better."
    return finish(marks, described, height=ROW_HEIGHT * len(labels_by_support(epochs)))


def confusion_chart(epoch: EpochFacts | None, order: Sequence[str] = ()) -> Spec | None:
    """The chart of the confusion matrix: counts by true label, darker for a larger share of the row."""
    if epoch is None or not epoch.confusion:
        return None
    names = confusion_names(epoch, order)
    rows = [
        {
            "true": NO_LABEL if true == OUTSIDE else true,
            "predicted": NO_LABEL if said == OUTSIDE else said,
            "words": count,
            "share": rounded(count / sum(row.values())),
            "right": true == said,
        }
        for true, row in epoch.confusion.items()
        for said, count in row.items()
        if count
    ]
    shown = [NO_LABEL if name == OUTSIDE else name for name in names]
    x = alt.X(
        "predicted:N",
        title="predicted",
        scale=alt.Scale(domain=shown),
        axis=alt.Axis(orient="top", labelAngle=-50),
    )
    y = alt.Y("true:N", title="true", scale=alt.Scale(domain=shown))
    marks = _field(rows, x=x, y=y, share="share", text=alt.Text("words:Q", format=",d"))
    described = "Words of each true label by predicted label at the best epoch."
    return finish(marks, described, height=ROW_HEIGHT * len(names))


def confusion_names(epoch: EpochFacts, order: Sequence[str] = ()) -> list[str]:
    """The labels of the matrix in the order of the run's labels, and last the words without any."""
    found = dict.fromkeys(
        [*order, *epoch.confusion, *(said for row in epoch.confusion.values() for said in row)]
    )
    present = {said for row in epoch.confusion.values() for said in row} | set(epoch.confusion)
    names = [name for name in found if name in present and name != OUTSIDE]
    return [*names, OUTSIDE] if OUTSIDE in present else names


def _field(rows: list[Row], *, x: alt.X, y: alt.Y, share: str, text: alt.Text | None) -> alt.LayerChart:
    """Rectangles whose opacity is a share of 0..1: opacity keeps to the colours of the page's theme.

    It ends at 0.55, up to where a number on it can be read in light and in dark.
    """
    base = alt.Chart(data(rows)).encode(x=x, y=y, tooltip=_tooltips(rows[0]))
    opacity = alt.FillOpacity(f"{share}:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 0.55]), legend=None)
    color = alt.condition("datum.right === false", alt.value(SERIES[1]), alt.value(SERIES[0]))
    rectangles = base.mark_rect(cornerRadius=2).encode(fill=color, fillOpacity=opacity)
    if text is None:
        return alt.layer(rectangles)
    return alt.layer(rectangles, base.mark_text().encode(text=text))


def _tooltips(row: Row) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:{'N' if isinstance(value, str) else 'Q'}") for name, value in row.items()]
