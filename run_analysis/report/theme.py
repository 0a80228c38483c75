"""Colours and the Vega-Lite theme."""

from __future__ import annotations

from typing import Any

import altair as alt

Spec = dict[str, Any]
"""A Vega-Lite specification with its data; its width is that of the element that it is drawn into."""

Row = dict[str, Any]

INK, SOFT, RULE, PAPER = (f"var(--{name}, currentColor)" for name in ("ink", "soft", "rule", "paper"))
SERIES = ("var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 2, 2, 2])
"""Series differ in their dashes, too: a colour alone says nothing to some readers, or on paper."""

HEIGHT = 230
ROW_HEIGHT = 22

_CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "gridColor": RULE,
        "domainColor": RULE,
        "tickColor": RULE,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 150,
        "labelPadding": 6,
    },
    "legend": {
        "labelColor": INK,
        "labelFontSize": 12,
        "orient": "top",
        "columns": {"expr": "width < 400 ? 2 : 6"},  # else a phone cuts a row of four off
        "title": None,
        "symbolType": "stroke",
        "symbolSize": 400,
        "symbolStrokeWidth": 2,
    },
    "rule": {"color": SOFT},
    "text": {"color": INK, "fontSize": 11},
}


def finish(chart: Any, description: str, *, height: int = HEIGHT) -> Spec:
    """The spec of an Altair chart; the description is what a screen reader says."""
    spec = dict(chart.properties(width="container", height=height, description=description).to_dict())
    return spec | {"config": _CONFIG, "autosize": {"type": "fit-x", "contains": "padding"}}


def data(rows: list[Row]) -> Any:
    """Rows inside the spec; a page fetches nothing."""
    return alt.Data(values=rows)


def rounded(value: float) -> float:
    """Five significant digits: more is nothing that a chart shows, and every digit is in the file."""
    return float(f"{value:.5g}")
