"""Job, status, metric, checkpoint, log and run-name records."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from receipt_dynamo.clock import now
from receipt_dynamo.entities.field_types import (
    Attempt,
    Count,
    Epoch,
    JobState,
    Priority,
    Text,
    Timestamp,
    Uuid,
)
from receipt_dynamo.entities.record import CHANGEABLE, STRICT, Record


@dataclass(slots=True, kw_only=True, config=CHANGEABLE)
class Job(Record):
    """One training run; its fields may be set, and `update_job` writes them all.

    `attempt` is the lease's fencing token at the last write of a worker.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class JobCheckpoint(Record):
    """A checkpoint in S3, its size in bytes and what was measured at it; one of a job `is_best` at a time.

    `attempt` is the lease's, of the attempt that wrote it.
    """

    TYPE: ClassVar[str] = "JOB_CHECKPOINT"
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset({"attempt"})

    job_id: Uuid
    timestamp: Timestamp = field(default_factory=now)
    s3_bucket: Text
    s3_key: Text
    size_bytes: Count
    step: Count
    epoch: Epoch
    model_state: bool = True
    optimizer_state: bool = True
    metrics: dict[str, Any] = field(default_factory=dict)
    is_best: bool = False
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class JobLog(Record):
    """A message with its level and source; `attempt` is the lease's, of the attempt that wrote it."""

    TYPE: ClassVar[str] = "JOB_LOG"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"job_id", "timestamp"})
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset({"source", "exception", "attempt"})

    job_id: Uuid
    timestamp: Timestamp = field(default_factory=now)
    log_level: Text
    message: str
    source: str | None = None
    exception: str | None = None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class JobMetric(Record):
    """A named value at a time; `unit` says what it counts. What is of the whole run has no step and no epoch.

    `attempt` is the lease's, of the attempt that wrote it.
    """

    TYPE: ClassVar[str] = "JOB_METRIC"
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset({"unit", "step", "epoch", "attempt"})

    job_id: Uuid
    metric_name: Text
    timestamp: Timestamp = field(default_factory=now)
    value: float | dict[str, Any]
    unit: str | None = None
    step: Count | None = None
    epoch: Epoch | None = None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class JobStatus(Record):
    """A status and when it began; `progress` is in percent.

    `attempt` is the lease's, of the attempt that wrote it; `message_id` is SQS's, of the message that the
    writer had taken.
    """

    TYPE: ClassVar[str] = "JOB_STATUS"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"job_id"})
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset(
        {"progress", "message", "updated_by", "instance_id", "attempt", "message_id"}
    )

    job_id: Uuid
    status: JobState
    updated_at: Timestamp = field(default_factory=now)
    progress: Annotated[float, Field(ge=0, le=100)] | None = None
    message: str | None = None
    updated_by: str | None = None
    instance_id: str | None = None
    attempt: Attempt | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class RunName(Record):
    """Records which job owns a run name, and so the run's S3 folder; one conditional write claims it."""

    TYPE: ClassVar[str] = "RUN_NAME"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"name"})

    name: Text
    job_id: Uuid
    claimed_at: Timestamp
