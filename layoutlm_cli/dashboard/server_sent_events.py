"""Streams page fragments as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from pydantic_core import to_json
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from layoutlm_cli.dashboard.context import PageContext
from layoutlm_cli.dashboard.error_pages import EXPECTED
from layoutlm_cli.dashboard.poller import Poll
from layoutlm_cli.dashboard.rendering import Fragment
from receipt_dynamo.skipped import skipped_noted

Context = Mapping[str, Any]
FAULT = "fault"
"""The part that says that the last look failed."""


def send_parts(site: PageContext, key: str, look: Poll) -> Response:
    """Answer an EventSource with what changes under a key."""

    async def events() -> AsyncIterator[ServerSentEvent]:
        async for part, fragment in site.feed.watch(key, look):
            said = {"id": part, "version": fragment.version, "html": fragment.html}
            yield ServerSentEvent(to_json(said).decode(), event="part")

    return EventSourceResponse(events())


def looking(
    site: PageContext, parts: tuple[str, ...], gather: Callable[[], Awaitable[tuple[Context, float]]]
) -> Poll:
    """A look that renders these parts, and keeps them as they are while the facts cannot be read.

    Args:
        site: with the templates.
        parts: templates of parts of a page.
        gather: their context, and the seconds until they are gathered again.
    """
    retry_seconds = 5.0

    async def look() -> tuple[Mapping[str, Fragment], float]:
        with skipped_noted():
            try:
                context, pause_seconds = await gather()
            except EXPECTED as error:
                return site.renderer.fragments([FAULT], {"problem": str(error)}), retry_seconds
            return site.renderer.fragments([*parts, FAULT], {"problem": None, **context}), pause_seconds

    return look
