"""Where a run can be resumed from."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Attempt, Count, Text, Timestamp, Uuid
from receipt_dynamo.entities.record import STRICT, Record


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class JobCheckpoint(Record):
    """A checkpoint in S3, its size in bytes and what was measured at it.

    `attempt` is the lease's, of the attempt that wrote it.
    """

    TYPE: ClassVar[str] = "JOB_CHECKPOINT"
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset({"attempt"})

    job_id: Uuid
    timestamp: Timestamp
    s3_bucket: Text
    s3_key: Text
    size_bytes: Count
    step: Count
    epoch: float
    model_state: bool = True
    optimizer_state: bool = True
    metrics: dict[str, Any] = field(default_factory=dict)
    is_best: bool = False
    attempt: Attempt | None = None
