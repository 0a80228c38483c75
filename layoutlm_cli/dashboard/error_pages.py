"""Expected errors as pages."""

from __future__ import annotations

import http
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from layoutlm_cli.dashboard.context import site_of
from messages.errors import InvalidMessage
from receipt_dynamo.errors import DynamoError, InvalidItem, NotFound
from receipt_dynamo.operations.leases import LeaseRefused
from run_records.errors import ConfigurationError, RunError
from workers.errors import QueueError, WorkerError
from workers.sqs.dead_letters import LetterMissing

Handler = Callable[[Request, Exception], Awaitable[Response]]

EXPECTED: tuple[type[Exception], ...] = (DynamoError, RunError, QueueError, WorkerError)
"""What the packages raise on purpose, each with a sentence on what to do."""

_STATUSES: dict[type[Exception], int] = {
    NotFound: 404,
    LetterMissing: 404,
    LeaseRefused: 409,
    InvalidMessage: 422,
    InvalidItem: 422,
    ConfigurationError: 400,
    **dict.fromkeys(EXPECTED, 502),
}


def _page_with(status: int) -> Handler:
    async def answer(request: Request, error: Exception) -> Response:
        return _fault_page(request, status, str(error))

    return answer


async def _answer_refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    said = {404: "There is no such page. Choose one above."}.get(error.status_code, error.detail)
    return _fault_page(request, error.status_code, said, error.headers)


async def _answer_defect(request: Request, error: Exception) -> Response:
    return _fault_page(
        request,
        500,
        f"This is a defect of the dashboard ({type(error).__name__}). Its stack is in the terminal that "
        "the dashboard runs in; please report it.",
    )


def _fault_page(
    request: Request, status: int, said: str, headers: Mapping[str, str] | None = None
) -> Response:
    page = site_of(request).renderer.page(
        "refusal.html", status, code=status, title=http.HTTPStatus(status).phrase, said=said
    )
    page.headers.update(headers or {})
    return page


HANDLERS: dict[Any, Handler] = {
    **{kind: _page_with(status) for kind, status in _STATUSES.items()},
    HTTPException: _answer_refusal,
    Exception: _answer_defect,
}
