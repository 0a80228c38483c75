"""The lease record."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.field_types import (
    Attempt,
    LeaseFailure,
    LeaseKind,
    LeaseOutcome,
    LeaseProgress,
    LeaseState,
    Timestamp,
    Uuid,
)
from receipt_dynamo.entities.record import STRICT, Record
from receipt_dynamo.keys import LEASE_OWNER_TYPES


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class JobLease(Record):
    """The lease of one job or export.

    `attempt` counts claims and fences every later write. `expires_at` is the end of a held lease; of a free
    one it is the moment by which somebody has to have taken it, or its message counts as lost. `claim_id` is
    unique to one claim, and stays after a release so that a repeated release knows itself. `body` is the
    request, or the S3 URI of one that an item cannot hold, to put the job back on its queue, which a job
    started `by_hand` does not have. `decision` holds
    everything needed to complete a decided job. `progress` is where the work was at the last renewal, of the
    attempt that it names.
    """

    TYPE: ClassVar[str] = "JOB_LEASE"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"owner_id"})
    # The writes that give these do so only once: `if_not_exists` would take a NULL for the value to keep.
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset({"cancel_requested_at", "body", "progress"})

    kind: LeaseKind
    owner_id: Uuid
    state: LeaseState
    attempt: Attempt
    expires_at: Timestamp
    claim_id: str | None = None
    worker: str | None = None
    acquired_at: Timestamp | None = None
    failures: list[LeaseFailure] = field(default_factory=list)
    cancel_requested_at: Timestamp | None = None
    body: str | None = None
    outcome: LeaseOutcome | None = None
    decision: dict[str, Any] | None = None
    decided_at: Timestamp | None = None
    by_hand: bool = False
    progress: LeaseProgress | None = None

    @property
    def body_s3_uri(self) -> str | None:
        """The S3 URI of the request, if it is not in `body` itself; a request is a JSON object."""
        return self.body if self.body is not None and self.body.startswith("s3://") else None

    @property
    def owner_type(self) -> str:
        """The TYPE of the record that the lease stands beside."""
        return LEASE_OWNER_TYPES[self.kind]
