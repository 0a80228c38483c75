"""Host check, CSRF token, content security policy."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE = frozenset({"GET", "HEAD"})
_OURS = frozenset({"same-origin", "none"})
STATIC = "/static/"

HEADERS = {
    # Vega's expressions go through its interpreter (charts.js), so that no page needs 'unsafe-eval'.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With "no-referrer" a browser would send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class RequestGuard:
    """Refuses what is not ours before any page sees it, and puts the headers on every answer.

    Args:
        app: what comes behind it.
        port: the port on 127.0.0.1 that the dashboard serves.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self._hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        kept = "no-cache" if scope["path"].startswith(STATIC) else "no-store"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update({**HEADERS, "Cache-Control": kept})
            await send(message)

        refusal = self._refuse(scope["method"], Headers(scope=scope))
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refuse(self, method: str, headers: Headers) -> PlainTextResponse | None:
        if headers.get("host", "").lower() not in self._hosts:
            return PlainTextResponse(
                f"The dashboard answers to {' and '.join(sorted(self._hosts))} only.\n", status_code=421
            )
        if method not in _SAFE and not _sent_by_us(headers):
            return PlainTextResponse(
                "This request came from another page. Use the dashboard's own forms.\n", status_code=403
            )
        return None


def _sent_by_us(headers: Headers) -> bool:
    """Whether one of our own pages sent it; browsers say so with every POST."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is None and site is None:
        return False
    return origin in {None, f"http://{headers['host'].lower()}"} and site in {None, "same-origin"}


def refuse_foreign_look(headers: Headers) -> None:
    """Let only our own pages, and addresses that were typed, start what hides messages for a moment.

    Raises:
        HTTPException: another page asks, to keep messages from the workers again and again.
    """
    if headers.get("sec-fetch-site", "none") not in _OURS:
        raise HTTPException(
            403, "Another page asked for this look. Open the queues page and look from there."
        )


class Token:
    """A secret of this process that every form carries and no other page can read."""

    def __init__(self) -> None:
        self.text = secrets.token_urlsafe(32)

    def check(self, form: Mapping[str, str]) -> None:
        """Make sure that a form is one of this process's.

        Raises:
            HTTPException: it is not.
        """
        if not secrets.compare_digest(form.get("token", "").encode(), self.text.encode()):
            raise HTTPException(
                403, "This form is from before the dashboard was started. Load its page again."
            )
