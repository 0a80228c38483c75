"""The page of workers: the leases that are held, and the workers that answer on this host."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from layoutlm_cli.dashboard.context import PageContext, in_thread, site_of
from layoutlm_cli.dashboard.server_sent_events import looking, send_parts
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobLease
from receipt_dynamo.entities.field_types import LeaseKind
from run_analysis.runs import list_runs
from workers.errors import SettingsError
from workers.telemetry.status_socket import WorkerStatus, read_statuses

PARTS = ("workers/leases", "workers/host", "fault")
PAUSE_SECONDS = 5.0
_RUNNING = 200
_KINDS: tuple[LeaseKind, ...] = ("train", "export")
_EVER = "9999"
"""Later than every time that the table holds."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease with what its job is called, so far as its request or a running run tells.

    Attributes:
        run: id of the run that it belongs to: for an export, the one that is exported.
        expired: nobody renewed it in time; an idle worker will put the job back on its queue.
    """

    lease: JobLease
    run: str | None
    name: str | None
    expired: bool


async def show_workers(request: Request) -> Response:
    """Leases and workers."""
    site = site_of(request)
    context, _ = await _gather(site)
    parts = site.renderer.fragments(PARTS, {"problem": None, **context})
    return site.renderer.live_page("workers.html", parts, "/workers/events")


async def send_events(request: Request) -> Response:
    """The same as it changes."""
    site = site_of(request)
    return send_parts(site, "workers", looking(site, PARTS[:2], lambda: _gather(site)))


async def _gather(site: PageContext) -> tuple[dict[str, Any], float]:
    held = await in_thread(_read_leases, site)
    workers, unreadable = await in_thread(_read_host, site)
    folders = " or ".join(str(folder) for folder in site.sources.settings.status_folders)
    return {"held": held, "workers": workers, "unreadable": unreadable, "folders": folders}, PAUSE_SECONDS


def _read_leases(site: PageContext) -> list[HeldLease]:
    """Two queries of leases, and one of the running runs for their names: none a lease."""
    client, moment = site.sources.client, now()
    leases = [lease for kind in _KINDS for lease in client.list_leases(kind, "held", before=_EVER).items]
    running = list_runs(client, statuses=("running",), limit=_RUNNING).runs if leases else ()
    names = {run.job_id: run.name for run in running}
    return [_describe(lease, names, moment) for lease in leases]


def _describe(lease: JobLease, names: dict[str, str], moment: str) -> HeldLease:
    asked = _read_body(lease)
    run = lease.owner_id if lease.kind == "train" else asked.get("job_id")
    name = names.get(str(run)) or asked.get("job_name")
    return HeldLease(lease, run and str(run), name and str(name), lease.expires_at < moment)


def _read_body(lease: JobLease) -> dict[str, Any]:
    try:
        body = json.loads(lease.body or "{}")
    except ValueError:  # a request of other software; the lease says enough without it
        return {}
    return body if isinstance(body, dict) else {}


def _read_host(site: PageContext) -> tuple[list[WorkerStatus], str | None]:
    try:
        return read_statuses(*site.sources.settings.status_folders), None
    except SettingsError as error:  # another user's workers; the leases are readable all the same
        return [], str(error)
