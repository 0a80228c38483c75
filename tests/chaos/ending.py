"""Checks the final state of every job after a chaos test, whichever process died."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receipt_dynamo.entities import CoreMLExport, Job, JobLease, JobStatus
from tests.chaos.scenarios import Scenario
from tests.chaos.stage import Remains

_EXPORT_STATUS = {"succeeded": "SUCCEEDED", "failed": "FAILED", "cancelled": "FAILED"}
_TERMINAL = {"succeeded", "failed", "cancelled"}


def check(scenario: Scenario, owner_id: str, remains: Remains) -> None:
    """One terminal status, one result id, no message left, no lease left, one export after a success."""
    assert remains.jobs_waiting == 0, "a message is left in the job queue"
    if scenario.outcome is None:
        _check_buried(scenario, owner_id, remains)
        return
    assert not remains.sent["dead"], f"dead letters: {remains.sent['dead']}"
    [lease] = [one for one in remains.of(JobLease) if one.owner_id == owner_id]
    assert (lease.state, lease.outcome) == ("closed", scenario.outcome)
    result = _the_one(remains.bodies("results"))
    assert result["attempt"] == lease.attempt
    if scenario.kind == "train":
        assert result["status"] == scenario.outcome
        _check_training(owner_id, lease, remains)
        _check_exports(scenario, owner_id, remains)
    else:
        [export] = remains.of(CoreMLExport)
        assert export.status == result["status"] == _EXPORT_STATUS[scenario.outcome]
        assert export.attempt == lease.attempt


def _check_training(owner_id: str, lease: JobLease, remains: Remains) -> None:
    [job] = remains.of(Job)
    assert (job.job_id, job.status, job.attempt) == (owner_id, lease.outcome, lease.attempt)
    history = [note.status for note in sorted(remains.of(JobStatus), key=lambda note: note.updated_at)]
    assert [status for status in history if status in _TERMINAL] == [lease.outcome], history
    assert history[-1] == lease.outcome, history


def _check_exports(scenario: Scenario, owner_id: str, remains: Remains) -> None:
    """One export of a training that succeeded: one id in any number of messages, one record, one lease."""
    if scenario.outcome != "succeeded":
        assert not remains.sent["exports"]
        assert not remains.of(CoreMLExport)
        return
    export_id = scenario.job(owner_id).export_id
    assert _the_one(remains.bodies("exports"))["export_id"] == export_id
    assert [(one.export_id, one.status) for one in remains.of(CoreMLExport)] == [(export_id, "PENDING")]
    [lease] = [one for one in remains.of(JobLease) if one.kind == "export"]
    assert (lease.owner_id, lease.state) == (export_id, "free")


def _check_buried(scenario: Scenario, owner_id: str, remains: Remains) -> None:
    """A body that nobody can read: the dead-letter queue has it unchanged, its sender hears of it."""
    assert _the_one(remains.bodies("dead"))["surprise"] == 1
    result = _the_one(remains.bodies("results"))
    assert owner_id in result.values()
    assert result["status"].lower() == "failed"
    assert not [one for one in remains.of(JobLease) if one.owner_id == owner_id]


def _the_one(messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The message of which all are copies; there is at least one."""
    assert messages, "nothing was sent"
    assert all(message == messages[0] for message in messages), f"not the same twice: {messages}"
    return messages[0]
