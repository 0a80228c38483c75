"""One measurement of a run: a number, or a map such as a label's scores or a confusion matrix."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Attempt, Count, Text, Timestamp, Uuid
from receipt_dynamo.entities.record import STRICT, Record


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class JobMetric(Record):
    """A named value at a time; `epoch` may be a fraction, `unit` says what the value counts.

    `attempt` is the lease's, of the attempt that wrote it.
    """

    TYPE: ClassVar[str] = "JOB_METRIC"
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset({"unit", "step", "epoch", "attempt"})

    job_id: Uuid
    metric_name: Text
    timestamp: Timestamp
    value: float | dict[str, Any]
    unit: str | None = None
    step: Count | None = None
    epoch: float | None = None
    attempt: Attempt | None = None
