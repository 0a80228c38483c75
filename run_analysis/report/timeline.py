"""The timeline of attempts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import altair as alt

from receipt_dynamo.clock import read_time
from run_analysis.job_records import StatusFacts
from run_analysis.report.formatting import moment
from run_analysis.report.theme import INK, PAPER, SERIES, SOFT, Row, Spec, data, finish
from run_analysis.run import RunDetail

_ENDED = ("succeeded", "failed", "cancelled")
_COLORS = {
    "pending": SOFT,
    "running": SERIES[0],
    "interrupted": SERIES[1],
    "failed": "var(--bad)",
    "cancelled": SOFT,
    "succeeded": "var(--good)",
}
_ROW_HEIGHT = 34
_TIMES = ((24 * 3600 * 1000, "%d %b %H:%M"), (20 * 60 * 1000, "%H:%M"), (0, "%H:%M:%S"))
"""The axis's time format by the milliseconds that it spans."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which the run had one status; ISO times."""

    status: str
    begin: str
    end: str
    attempt: int | None
    worker: str | None
    message: str | None

    @property
    def seconds(self) -> float:
        """The duration, in seconds."""
        return (read_time(self.end) - read_time(self.begin)).total_seconds()

    @property
    def row(self) -> str:
        """The line of the chart that it stands on."""
        return "queue" if self.attempt is None else f"attempt {self.attempt}"


def stretches_of(detail: RunDetail) -> tuple[Stretch, ...]:
    """The stretches of a run, oldest first; a status that ends the run has no duration.

    The last status of a run that goes on lasts until the last thing that the run recorded.
    """
    statuses = sorted(detail.statuses, key=lambda one: read_time(one.at))
    if not statuses:
        return ()
    last = statuses[-1]
    begins = [(one, one.at) for one in statuses]
    end = last.at if last.status in _ENDED else _last_sign(detail, last)
    return tuple(_stretch(one, at, until) for (one, at), (_, until) in pairwise([*begins, (last, end)]))


def timeline_chart(detail: RunDetail) -> Spec | None:
    """A bar for each stretch, in a row for each attempt; ticks are checkpoints, crosses failed attempts."""
    stretches = stretches_of(detail)
    if not stretches:
        return None
    marks = [_marks(one.at, f"attempt {one.attempt}", one.error_class) for one in detail.failures]
    saved = [
        _marks(one.at, "queue" if one.attempt is None else f"attempt {one.attempt}", f"step {one.step}")
        for one in detail.checkpoints
    ]
    lines = list(dict.fromkeys([*(one.row for one in stretches), *(mark["row"] for mark in marks + saved)]))
    layers = [_bars(stretches, lines)]
    if saved:
        ticks = alt.Chart(data(saved)).mark_tick(color=INK, thickness=1.5, size=22)
        layers.append(_at(ticks, "checkpoint"))
    if marks:
        crosses = alt.Chart(data(marks)).mark_point(shape="cross", angle=45, filled=True, size=130)
        layers.append(_at(crosses.encode(color=alt.value("var(--bad)")), "failed"))
    ends = [_row(one) for one in stretches if one.status in _ENDED]
    if ends:
        point = alt.Chart(data(ends)).mark_point(filled=True, size=90, stroke=PAPER)
        layers.append(point.encode(x="begin:T", y="row:N", color=_color(stretches), tooltip=_TOOLTIPS))
    described = "Statuses of the run over time, by attempt, with its checkpoints."
    return finish(alt.layer(*layers), described, height=_ROW_HEIGHT * len(lines))


# Texts, since Vega would show times in the zone of the reader.
_TOOLTIPS = ["status:N", "from:N", "until:N", "worker:N", "message:N"]


def _last_sign(detail: RunDetail, last: StatusFacts) -> str:
    times = [last.at, *(one.at for one in detail.checkpoints), *(one.at for one in detail.failures)]
    times += [one.recorded_at for one in detail.epochs if one.recorded_at]
    return max(times, key=read_time)


def _stretch(status: StatusFacts, begin: str, end: str) -> Stretch:
    return Stretch(status.status, begin, end, status.attempt, status.worker, status.message)


def _row(one: Stretch) -> Row:
    return {
        "row": one.row,
        "status": one.status,
        # Vega reads milliseconds of the epoch; what it makes of ISO text depends on the browser.
        "begin": _milliseconds(one.begin),
        "end": _milliseconds(one.end),
        "from": moment(one.begin),
        "until": moment(one.end),
        "worker": one.worker or "",
        "message": one.message or "",
    }


def _marks(at: str, row: str, what: str) -> Row:
    return {"at": _milliseconds(at), "row": row, "what": what, "time": moment(at)}


def _milliseconds(at: str) -> int:
    return round(read_time(at).timestamp() * 1000)


def _bars(stretches: tuple[Stretch, ...], lines: list[str]) -> alt.Chart:
    rows = [_row(one) for one in stretches if one.status not in _ENDED]
    bars = alt.Chart(data(rows)).mark_bar(height=16, cornerRadius=3, opacity=0.75)
    line_axis = alt.Axis(ticks=False, domain=False)
    span = _milliseconds(stretches[-1].end) - _milliseconds(stretches[0].begin)
    written = next(text for least, text in _TIMES if span >= least)
    return bars.encode(
        x=alt.X(
            "begin:T",
            scale=alt.Scale(type="utc"),
            title="time (UTC)",
            axis=alt.Axis(grid=False, tickCount=6, format=written),
        ),
        x2="end:T",
        y=alt.Y("row:N", scale=alt.Scale(domain=lines), title=None, axis=line_axis),
        color=_color(stretches),
        tooltip=_TOOLTIPS,
    )


def _color(stretches: tuple[Stretch, ...]) -> alt.Color:
    found = [name for name in _COLORS if any(one.status == name for one in stretches)]
    scale = alt.Scale(domain=found, range=[_COLORS[name] for name in found])
    return alt.Color("status:N", scale=scale, legend=alt.Legend(symbolType="square", symbolSize=100))


def _at(chart: alt.Chart, what: str) -> alt.Chart:
    return chart.encode(
        x="at:T", y="row:N", tooltip=[alt.Tooltip("what:N", title=what), alt.Tooltip("time:N", title="at")]
    )
