"""One line of a run's log, structured ones as JSON in `message`."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Attempt, Text, Timestamp, Uuid
from receipt_dynamo.entities.record import STRICT, Record


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class JobLog(Record):
    """A message with its level and source; `attempt` is the lease's, of the attempt that wrote it."""

    TYPE: ClassVar[str] = "JOB_LOG"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"job_id", "timestamp"})
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset({"source", "exception", "attempt"})

    job_id: Uuid
    timestamp: Timestamp
    log_level: Text
    message: str
    source: str | None = None
    exception: str | None = None
    attempt: Attempt | None = None
