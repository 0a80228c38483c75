"""Items of the table that a page leaves out, collected for each request, so that the page can say so."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from receipt_dynamo.skipped import skipped_noted


class SkippedNoted:
    """Collects what is left out while one request is answered.

    Args:
        app: what answers it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        with skipped_noted():
            await self.app(scope, receive, send)
