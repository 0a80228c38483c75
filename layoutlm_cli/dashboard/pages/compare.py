"""The page that compares runs: scores, setting differences, and which runs may be ranked together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from layoutlm_cli.dashboard.charts import PART, overlaid
from layoutlm_cli.dashboard.context import in_thread, site_of, together
from run_analysis.comparison.compare_runs import compare_runs
from run_analysis.report.formatting import NOT_KNOWN, anything, dollars, number, score, seconds
from run_analysis.run import read_run
from run_records.scores import Interval

LEAST, MOST = 2, 8


def _interval(bounds: Interval | None) -> str:
    return f"{bounds.low:.3f} to {bounds.high:.3f}" if bounds else NOT_KNOWN


_FIGURES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("status", "status", str),
    ("best_f1", "best F1", score),
    ("best_f1_interval", "95 % interval", _interval),
    ("best_f1_constrained", "F1, BIO allowed", score),
    ("best_f1_strict", "F1, strict", score),
    ("precision", "precision", score),
    ("recall", "recall", score),
    ("best_epoch", "best epoch", number),
    ("epochs_trained", "epochs trained", number),
    ("train_runtime", "training", seconds),
    ("samples_per_second", "windows per second", number),
    ("cost_usd", "cost of the machine", dollars),
    ("train_receipts", "training receipts", number),
    ("val_receipts", "validation receipts", number),
    ("validation", "scored on", anything),
    ("attempts", "attempts", number),
)


async def show_comparison(request: Request) -> Response:
    """The runs whose ids or names the address lists, about eight requests each."""
    site = site_of(request)
    chosen = list(dict.fromkeys(request.query_params.getlist("run")))
    if not LEAST <= len(chosen) <= MOST:
        raise HTTPException(
            400, f"Choose {LEAST} to {MOST} runs by the boxes on the jobs page; {len(chosen)} are chosen."
        )
    sources = site.sources
    read = await together(*(partial(read_run, sources.client, sources.storage, run) for run in chosen))
    details = list({one.run.job_id: one for one in read}.values())  # by name and by id it is one run
    comparison = await in_thread(compare_runs, details)
    charts = await in_thread(overlaid, details)
    parts = site.renderer.fragments([PART], {"charts": charts})
    return site.renderer.live_page(
        "compare.html", parts, None, comparison=comparison, figures=_FIGURES, charts=charts
    )
