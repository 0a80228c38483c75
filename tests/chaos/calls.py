"""Gives each AWS call of a worker a name that is the same in every run, and ends the process at one of them.

A number alone would not do: a heartbeat more or less moves all numbers behind it. So a call is named by what
it asks for and how often that was asked before. Idle calls, of which a waiting worker makes any number, are
named by the call that they follow, and only the first one counts.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Side = Literal["before", "after"]

_IDLE = ("ReceiveMessage", "Query LEASE")
_LAST = ("UpdateItem LEASE state=closed", "SendMessage dead")
_SET = re.compile(r"#(\w+)[.#\w]* = (?::(\w+))?")
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Point:
    """A moment in a worker's life: before a call is sent, or after its answer came and before it is read."""

    call: str
    side: Side

    def __str__(self) -> str:
        """`before UpdateItem LEASE ...`."""
        return f"{self.side} {self.call}"


@dataclass(slots=True)
class Calls:
    """Hears of each call of one aiobotocore session, and cuts the power at a point.

    Attributes:
        journal: gets one line a call; a line that was written survives the process.
        cut_at: where to die; None lives on until the job is done and the queue was found empty.
    """

    journal: Path
    cut_at: Point | None
    _seen: Counter[str] = field(default_factory=Counter, init=False)
    _last: str = field(default="the start", init=False)
    _nearly_done: bool = field(default=False, init=False)
    _current: ContextVar[str | None] = field(default=ContextVar("call"), init=False)

    def listen(self, session: Any) -> None:
        """Hear of every attempt of every call of clients that the session makes from now on."""
        session.register("before-send", self._before)
        session.register("response-received", self._after)

    def _before(self, *, request: Any, event_name: str, **_: Any) -> None:
        service, operation = event_name.split(".")[1:]
        named = _object_of(request.url) if service == "s3" else describe(operation, json.loads(request.body))
        call = self._name(f"{operation} {named}")
        self._current.set(call)
        if call is not None:
            with self.journal.open("a") as journal:
                journal.write(call + "\n")
            self._cut(Point(call, "before"))

    def _after(self, **_: Any) -> None:
        call = self._current.get()
        if call is not None:
            self._cut(Point(call, "after"))

    def _name(self, description: str) -> str | None:
        if description.startswith(_IDLE):
            if self._nearly_done:
                os.kill(os.getpid(), signal.SIGTERM)
            description = f"{description}, following {self._last}"
            self._seen[description] += 1
            return description if self._seen[description] == 1 else None
        self._nearly_done |= description.startswith(_LAST)
        self._seen[description] += 1
        self._last = f"{description} no. {self._seen[description]}"
        return self._last

    def _cut(self, point: Point) -> None:
        if point == self.cut_at:
            os.kill(os.getpid(), signal.SIGKILL)


def _object_of(url: str) -> str:
    """Which object of S3 a call is about: the probe of a start, or a request that a lease cannot hold."""
    return next((name for name in ("probe", "requests") if name in url), "bucket")


def describe(operation: str, arguments: dict[str, Any]) -> str:
    """What a call is about, without what differs from run to run."""
    if "QueueUrl" in arguments:
        role = arguments["QueueUrl"].rsplit("/", 1)[1].partition("-")[0]
        return " ".join([role, *_visibility(operation, arguments)])
    if "QueueName" in arguments:
        return str(arguments["QueueName"].partition("-")[0])
    if "Query" in operation:
        return _text(arguments, ":state") or "GSI"
    key = (arguments.get("Key") or arguments["Item"])["SK"]["S"].partition("#")[0]
    changes = _SET.findall(arguments.get("UpdateExpression", ""))[:_NAMED]
    names = [f"{name}={value}" if name == "state" else name for name, value in changes]
    return " ".join(filter(None, (key, ",".join(names), _text(arguments, ":status"))))


def _visibility(operation: str, arguments: dict[str, Any]) -> list[str]:
    return [str(arguments["VisibilityTimeout"])] if operation == "ChangeMessageVisibility" else []


def _text(arguments: dict[str, Any], name: str) -> str:
    return str(arguments.get("ExpressionAttributeValues", {}).get(name, {}).get("S", ""))
