"""Charts for pages: specs as data inside the HTML, drawn by Vega in the browser and drawn again on change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from run_analysis.report.charts import CHARTS, charts_of, overlay
from run_analysis.run import RunDetail

PART = "charts/specs"
"""The part of a page that holds the specs; charts.js draws them."""

Charts = Sequence[Mapping[str, Any]]
_REMEMBERED = 16
_OVERLAID = {"eval_f1": "F1", "eval_loss": "validation loss (nats)", "train_loss": "training loss (nats)"}


@dataclass(slots=True)
class ChartBook:
    """The charts of the runs that were shown last: they change with an evaluation, and not with each look."""

    _known: dict[str, tuple[RunDetail, Charts]] = field(default_factory=dict)

    def charts_of(self, detail: RunDetail) -> Charts:
        """The charts of a run, with their titles."""
        job_id = detail.run.job_id
        before = self._known.pop(job_id, None)
        charts = before[1] if before and before[0] == detail else _draw(detail)
        self._known[job_id] = detail, charts
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return charts


def overlaid(details: Sequence[RunDetail]) -> Charts:
    """The curves of several runs in one chart each."""
    names = [detail.run.name for detail in details]
    runs = {
        name if names.count(name) == 1 else f"{name} {detail.run.job_id[:8]}": detail.epochs
        for name, detail in zip(names, details, strict=True)
    }
    specs = {field: (title, overlay(runs, field, title)) for field, title in _OVERLAID.items()}
    return [
        {"name": name, "title": title, "wide": False, "spec": spec}
        for name, (title, spec) in specs.items()
        if spec is not None
    ]


def _draw(detail: RunDetail) -> Charts:
    return [
        {"name": name, "title": CHARTS[name].title, "wide": CHARTS[name].wide, "spec": spec}
        for name, spec in charts_of(detail).items()
    ]
