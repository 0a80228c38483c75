"""Maps package errors to one sentence and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

EX_DATAERR = 65
EX_IOERR = 74
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78


@contextmanager
def failures_explained() -> Iterator[None]:
    """Print an expected failure without its stack; anything else is a defect and keeps it."""
    try:
        yield
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"error: {_sentence(error)}", file=sys.stderr)  # noqa: T201 - what the command has to say
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


def _sentence(error: Exception) -> str:
    """The text of an error; one of the file system names its path first."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}. Mend the path, its rights or the disk, and try again."
    text = str(error)
    return text if text.endswith((".", "`", "?")) else f"{text}."


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error that the packages raise on purpose, or None.

    Imported here, so that a command pays for the packages that it uses only.
    """
    from messages.errors import InvalidMessage  # noqa: PLC0415
    from receipt_dynamo.errors import (  # noqa: PLC0415
        CredentialsError,
        DynamoError,
        InvalidItem,
        InvalidSetting,
    )
    from workers.errors import CredentialsRefused, QueueError, WorkerError  # noqa: PLC0415

    if isinstance(error, WorkerError):
        return error.exit_code
    by_type: tuple[tuple[type[Exception], int], ...] = (
        (InvalidMessage, EX_DATAERR),
        (InvalidItem, EX_DATAERR),  # the next try would find the same
        (CredentialsError, EX_NOPERM),
        (InvalidSetting, EX_CONFIG),
        (CredentialsRefused, EX_NOPERM),
        (DynamoError, EX_TEMPFAIL),
        (QueueError, EX_TEMPFAIL),
    )
    for kind, code in by_type:
        if isinstance(error, kind):
            return code
    if isinstance(error, OSError):
        # Of a socket or a pipe, which name no file, nothing is expected to fail.
        return EX_IOERR if error.filename is not None and error.strerror else None
    return _code_of_work(error)


def _code_of_work(error: Exception) -> int | None:
    """The exit code of what training, export and inference raise: by the class that a worker acts on."""
    from messages.child_protocol import ErrorClass  # noqa: PLC0415
    from run_records.errors import RunError  # noqa: PLC0415

    if not isinstance(error, RunError):
        return None
    by_class = {
        ErrorClass.CREDENTIALS: EX_NOPERM,
        ErrorClass.DENIED: EX_NOPERM,
        ErrorClass.SETUP: EX_CONFIG,
    }
    known = by_class.get(error.error_class)
    retry = error.error_class.retryable and error.error_class is not ErrorClass.CRASHED
    return known or (EX_TEMPFAIL if retry else EX_DATAERR)
