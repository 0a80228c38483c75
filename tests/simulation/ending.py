"""Invariants of the final state: every job has ended once, and nothing is left over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from receipt_dynamo.entities import CoreMLExport, Job, JobLease
from receipt_dynamo.requests.records import export_key, job_key
from tests.simulation.bucket import Objects
from tests.simulation.check import Violation, identity, lease_id, owner_of, read_job, state_of
from tests.simulation.plan import Kind
from tests.simulation.queue import Queue
from tests.simulation.table import Table

_EXPORT_STATUS = {"succeeded": "SUCCEEDED", "failed": "FAILED", "cancelled": "FAILED"}


@dataclass(frozen=True, slots=True)
class Ending:
    """The state of the services at the end.

    Attributes:
        results: each job's results, in the order in which they were sent.
        bucket: where large requests lie.
    """

    table: Table
    results: Mapping[tuple[Kind, str], Sequence[str]]
    bucket: Objects

    def check_job(self, kind: Kind, owner_id: str) -> None:
        """Judge how one accepted job ended."""
        name = f"{kind} {owner_id[:8]}"
        item = self.table.items.get(lease_id(kind, owner_id))
        if item is None or state_of(item) != "closed":
            raise Violation(f"{name} is lost: its lease is {state_of(item)}")
        lease = JobLease.from_item(item)
        status = lease.outcome if kind == "train" else _EXPORT_STATUS[str(lease.outcome)]
        self._check_record(kind, lease, (status, lease.attempt))
        # Attempt 0 is that of messages under this id that could not be read.
        results = {body for body in self.results.get((kind, owner_id), ()) if json.loads(body)["attempt"]}
        said = [(one["status"], one["attempt"]) for one in map(json.loads, results)]
        if said != [(status, lease.attempt)]:
            raise Violation(f"{name} was {lease.outcome} in attempt {lease.attempt}; its results say {said}")

    def check_exports(self) -> None:
        """Judge every export that was asked for, by a sender or by a training that succeeded."""
        asked = [item for item in self.table.items.values() if item["TYPE"]["S"] == "COREML_EXPORT"]
        for item in asked:
            self.check_job("export", item["PK"]["S"].partition("#")[2])
        leases = [item for item in self.table.items.values() if state_of(item) == "closed"]
        for lease in map(JobLease.from_item, leases):
            export = json.loads((lease.decision or {}).get("export") or "null")
            if export is not None:
                self.check_job("export", export["export_id"])

    def check_dead_letters(self, kind: Kind, queue: Queue, sent: Iterable[str]) -> None:
        """What cannot be read, or names another's job, lies in the dead-letter queue as it was sent."""
        kept = {message.body for message in queue.messages.values()}
        expected = {body for body in sent if not self._was_taken(kind, body)}
        if kept != expected:
            raise Violation(f"dead letters of {kind}: expected {expected}, found {kept}")

    def _was_taken(self, kind: Kind, body: str) -> bool:
        owner_id = owner_of(kind, body)
        if owner_id is None:
            return False
        lease = JobLease.from_item(self.table.items[lease_id(kind, owner_id)])
        return bool(read_job(kind, body) == read_job(kind, self.bucket.text(str(lease.body))))

    def _check_record(self, kind: Kind, lease: JobLease, expected: tuple[object, int]) -> None:
        key = job_key(lease.owner_id) if kind == "train" else export_key(lease.owner_id)
        item = self.table.items.get(identity(key))
        if item is None:
            if kind == "train" or lease.outcome == "succeeded":
                raise Violation(f"{kind} {lease.owner_id[:8]} has no record")
            return  # an export of a training that nobody knows has none to stand in
        record = Job.from_item(item) if kind == "train" else CoreMLExport.from_item(item)
        if (record.status, record.attempt) != expected:
            said = f"{record.status} in attempt {record.attempt}"
            raise Violation(f"{kind} {lease.owner_id[:8]} was {expected}, its record says {said}")
