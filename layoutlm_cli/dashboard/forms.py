"""Forms as browsers post them, of a size that a person fills in."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from layoutlm_cli.dashboard.context import site_of

MOST_BYTES = 200_000
_MOST_FIELDS = 300


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form of this process; of several with one name, the last.

    Raises:
        HTTPException: it is too long, not a form, or not ours.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"This form is longer than {MOST_BYTES} bytes. Shorten what is in it.")
    try:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise HTTPException(400, "This is no form of the dashboard. Load its page again.") from error
    site_of(request).token.check(form)
    return form
