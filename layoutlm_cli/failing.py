"""Turns what the packages raise into one sentence on standard error and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

EX_DATAERR = 65
EX_TEMPFAIL = 75


@contextmanager
def failures_explained() -> Iterator[None]:
    """Print an expected failure without its stack; anything else is a defect and keeps it."""
    try:
        yield
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - what the command has to say
        sys.exit(code)


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error that the packages raise on purpose, or None.

    Imported here, so that a command pays for the packages that it uses only.
    """
    from messages.errors import InvalidMessage  # noqa: PLC0415
    from receipt_dynamo.errors import DynamoError  # noqa: PLC0415
    from workers.errors import QueueError, WorkerError  # noqa: PLC0415

    if isinstance(error, WorkerError):
        return error.exit_code
    if isinstance(error, InvalidMessage):
        return EX_DATAERR
    if isinstance(error, DynamoError | QueueError):
        return EX_TEMPFAIL
    from receipt_layoutlm.errors import LayoutLMError  # noqa: PLC0415

    return EX_DATAERR if isinstance(error, LayoutLMError) else None
