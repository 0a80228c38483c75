"""Whose a job name is, and with it the run's folder: decided by one conditional write."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Text, Timestamp, Uuid
from receipt_dynamo.entities.record import STRICT, Record


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class RunName(Record):
    """A name and the job that has it."""

    TYPE: ClassVar[str] = "RUN_NAME"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"name"})

    name: Text
    job_id: Uuid
    claimed_at: Timestamp
