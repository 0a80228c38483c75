"""Says on standard error what went wrong, with an exit code, and which items of the table were left out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

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


def skipped_said(command: Callable[P, T]) -> Callable[P, T]:
    """A command that reads the table and, at its end, says once which items it had to leave out."""

    @wraps(command)
    def said(*args: P.args, **kwargs: P.kwargs) -> T:
        from receipt_dynamo.skipped import skipped_noted  # noqa: PLC0415 - `--help` goes without the table

        with skipped_noted() as skipped:
            try:
                return command(*args, **kwargs)
            finally:
                if skipped:
                    from layoutlm_cli.console import printable  # noqa: PLC0415

                    print(f"note: {printable(str(skipped))}", file=sys.stderr)  # noqa: T201 - as above

    return said


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error that the packages raise on purpose, or None.

    Imported here, so that a command pays for the packages that it uses only.
    """
    from messages.errors import InvalidMessage  # noqa: PLC0415
    from receipt_dynamo.errors import DynamoError, InvalidItem  # noqa: PLC0415
    from workers.errors import QueueError, WorkerError  # noqa: PLC0415

    if isinstance(error, WorkerError):
        return error.exit_code
    if isinstance(error, InvalidMessage | InvalidItem):  # the next try would find the same
        return EX_DATAERR
    if isinstance(error, DynamoError | QueueError):
        return EX_TEMPFAIL
    from receipt_layoutlm.errors import LayoutLMError  # noqa: PLC0415

    return EX_DATAERR if isinstance(error, LayoutLMError) else None
