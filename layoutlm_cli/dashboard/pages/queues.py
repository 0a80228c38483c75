"""The page of queues: their depths, updated live, and on demand the oldest message of one."""

from __future__ import annotations

from typing import Any, get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from layoutlm_cli.dashboard.context import PageContext, site_of
from layoutlm_cli.dashboard.security import refuse_foreign_look
from layoutlm_cli.dashboard.server_sent_events import looking, send_parts
from receipt_dynamo.clock import write_time
from workers.sqs.dead_letters import NO_REASON, QueueName, dead_letters
from workers.sqs.queue_depths import look_for_oldest, read_queues

PARTS = ("queues/depths", "fault")
PAUSE_SECONDS = 5.0
_NAMES: tuple[QueueName, ...] = get_args(QueueName)


async def show_queues(request: Request) -> Response:
    """How full the queues are."""
    site = site_of(request)
    context, _ = await _gather(site)
    parts = site.renderer.fragments(PARTS, {"problem": None, **context})
    return site.renderer.live_page("queues.html", parts, "/queues/events", notice=site.notice(request))


async def send_events(request: Request) -> Response:
    """The same as it changes."""
    site = site_of(request)
    return send_parts(site, "queues", looking(site, PARTS[:1], lambda: _gather(site)))


async def show_oldest(request: Request) -> Response:
    """How long the oldest message that a look finds has been waiting."""
    refuse_foreign_look(request.headers)
    site, name = site_of(request), queue_named(request)
    sent_at = await look_for_oldest(site.sources.sqs, site.sources.settings, name)
    return site.renderer.page("oldest.html", name=name, sent_at=sent_at and write_time(sent_at))


async def show_letters(request: Request) -> Response:
    """The dead letters of a queue, each with its reason; hidden from others while they are read."""
    refuse_foreign_look(request.headers)
    site, name = site_of(request), queue_named(request)
    async with dead_letters(site.sources.settings, name) as letters:
        pass  # what was read is kept; the letters are shown to others again at once
    return site.renderer.page("letters.html", name=name, letters=letters, no_reason=NO_REASON)


def queue_named(request: Request) -> QueueName:
    """The queue that an address names.

    Raises:
        HTTPException: there is none of that name.
    """
    for name in _NAMES:
        if name == request.path_params["name"]:
            return name
    raise HTTPException(404)


async def _gather(site: PageContext) -> tuple[dict[str, Any], float]:
    return {"queues": await read_queues(site.sources.sqs, site.sources.settings)}, PAUSE_SECONDS
