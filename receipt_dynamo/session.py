"""Where boto3's sessions are made, so that one check can stand before every request of a process.

A process that may write only while it holds a lease has to look just before it writes: it may have been
frozen between any two instructions, and other workers have not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import botocore.session

from receipt_dynamo.descriptions import share_descriptions

_checks: list[Callable[[], None]] = []


def check_before_requests(check: Callable[[], None]) -> None:
    """Call `check` in the sending thread before each request of every session made here.

    Retries and the parts of an upload are requests, too. Nothing is sent if `check` does not return.
    """
    _checks.append(check)


def new_session() -> boto3.session.Session:
    """A session of its own: boto3's default one must not be used by two threads at once."""
    core = botocore.session.get_session()
    share_descriptions(core)
    session = boto3.session.Session(botocore_session=core)
    session.events.register("before-send", _check)
    return session


def _check(**_: Any) -> None:
    for check in _checks:
        check()
