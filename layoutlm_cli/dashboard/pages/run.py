"""The page of one run: progress, scores, findings, and all its records."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from layoutlm_cli.dashboard import charts
from layoutlm_cli.dashboard.context import PageContext, in_thread, site_of
from layoutlm_cli.dashboard.server_sent_events import looking, send_parts
from run_analysis.active_runs import UNDER_WAY, read_active_run
from run_analysis.findings.find import detect_findings
from run_analysis.report import settings_tables as settings
from run_analysis.report.page import theme_css, vega_javascript
from run_analysis.report.tables import tables_of
from run_analysis.run import describe_job, read_last_logs

PARTS = (
    "run/summary",
    "run/facts",
    "run/progress",
    "run/findings",
    charts.PART,
    "run/scores",
    "run/settings",
    "run/attempts",
    "run/files",
    "run/logs",
)
LIVE_SECONDS = 2.0
ENDED_SECONDS = 15.0
"""An export may still come."""


async def show_run(request: Request) -> Response:
    """The run of an id, or the newest of a name."""
    site = site_of(request)
    context, _ = await _gather(site, request.path_params["job"])
    parts = site.renderer.fragments([*PARTS, "fault"], {"problem": None, **context})
    shown = {name: context[name] for name in ("run", "charts")}
    return site.renderer.live_page(
        "run.html", parts, f"/runs/{context['run'].job_id}/events", notice=site.notice(request), **shown
    )


async def send_events(request: Request) -> Response:
    """The same as it changes."""
    site = site_of(request)
    job = await in_thread(site.sources.client.find_job, request.path_params["job"])
    return send_parts(site, f"run {job.job_id}", looking(site, PARTS, lambda: _gather(site, job.job_id)))


async def send_vega(_: Request) -> Response:
    """Vega's own JavaScript: no page asks anything of another host."""
    return Response(await in_thread(vega_javascript), media_type="text/javascript")


async def send_theme(_: Request) -> Response:
    """The colours that charts and pages share."""
    return Response(theme_css(), media_type="text/css")


async def _gather(site: PageContext, job: str) -> tuple[dict[str, Any], float]:
    context = await in_thread(_read, site, job)
    return context, LIVE_SECONDS if context["live"] else ENDED_SECONDS


def _read(site: PageContext, named: str) -> dict[str, Any]:
    """About ten requests, and one to S3."""
    client = site.sources.client
    job = client.find_job(named)
    detail = describe_job(client, site.sources.storage, job)
    return {
        "run": detail.run,
        "detail": detail,
        "live": read_active_run(client, job) if job.status in UNDER_WAY else None,
        "headline": settings.headline(detail),
        "comparability": settings.comparability(detail),
        "findings": detect_findings(detail),
        "charts": site.charts.charts_of(detail),
        "tables": tables_of(detail),
        "changed": settings.changed_settings(detail),
        "unchanged": settings.other_settings(detail),
        "data": settings.data_table(detail),
        "label_counts": settings.label_counts(detail),
        "cost": settings.cost_table(detail),
        "logs": read_last_logs(client, job.job_id),
    }
