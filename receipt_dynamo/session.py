"""Creates boto3 sessions in one place, so that one check can run before every request of a process.

A process that may write only while it holds a lease must check the lease just before each write: it may have
been frozen between any two instructions while other workers went on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import botocore.session

from receipt_dynamo.aws_faults import check_files, client_made, credentials_sought, refuse_foreign_answers
from receipt_dynamo.botocore_loader import share_loader

_checks: list[Callable[[], None]] = []


def check_before_requests(check: Callable[[], None]) -> None:
    """Call `check` in the sending thread before each request of every session made here.

    Retries and the parts of an upload are requests, too. Nothing is sent if `check` does not return.
    """
    _checks.append(check)


def new_session() -> boto3.session.Session:
    """A session of its own: boto3's default one must not be used by two threads at once.

    Raises:
        ClientNotMade: the profile or the files of AWS are not as botocore needs them.
    """
    with client_made():
        core = botocore.session.get_session()
        share_loader(core)
        refuse_foreign_answers(core)
        check_files(core)
        session = boto3.session.Session(botocore_session=core)
    session.events.register("before-send", _check)
    return session


def new_client(service: str, **arguments: Any) -> Any:
    """A client of a session of its own.

    Args:
        service: as botocore calls it.
        arguments: of `boto3.session.Session.client`.

    Raises:
        ClientNotMade: settings or credentials are not as botocore needs them.
    """
    session: Any = new_session()
    with credentials_sought():
        session.get_credentials()
    with client_made():
        return session.client(service, **arguments)


def _check(**_: Any) -> None:
    for check in _checks:
        check()
