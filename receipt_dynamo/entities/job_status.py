"""One change of a job's status, kept so that the history can be read after the job has moved on."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Attempt, JobState, Timestamp, Uuid
from receipt_dynamo.entities.record import STRICT, Record


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
    updated_at: Timestamp
    progress: Annotated[float, Field(ge=0, le=100)] | None = None
    message: str | None = None
    updated_by: str | None = None
    instance_id: str | None = None
    attempt: Attempt | None = None
    message_id: str | None = None
