"""The training job that people and dashboards read; it follows the lease, it never leads."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Attempt, JobState, Priority, Text, Timestamp, Uuid
from receipt_dynamo.entities.record import STRICT, Record


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Job(Record):
    """One training run. `attempt` is the lease's fencing token at the last write of a worker."""

    TYPE: ClassVar[str] = "JOB"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"job_id"})
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset({"tags", "results", "attempt", "error_message"})

    job_id: Uuid
    name: Text
    description: str
    created_at: Timestamp
    created_by: Text
    status: JobState
    priority: Priority
    job_config: dict[str, Any]
    storage: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    attempt: Attempt | None = None
    error_message: str | None = None
