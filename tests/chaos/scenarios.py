"""The jobs that the crash matrix plays: what is asked for, and how it must end whatever dies on the way.

Where two of them make the same calls in the same state, one stands for both: what a child will do changes
nothing before it is started, and a job that was put back on its queue is one like any other.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from messages.child_protocol import Exported, Trained
from messages.codec import decode_export_job, decode_train_job, encode
from receipt_dynamo.clock import now
from receipt_dynamo.entities import Job, JobLease
from tests.chaos.stage import KindName, Stage
from workers.jobs.job_record import job_record
from workers.jobs.registry import make_kind
from workers.runtime.outcome import AttemptResult, Ending
from workers.runtime.recovery import register
from workers.runtime.request_bodies import MOST_BYTES

Outcome = Literal["succeeded", "failed", "cancelled"]
TRAINING_ID = "7b0e1b52-0c5e-4c52-9f4e-3a1d2f6f0b11"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One job.

    Attributes:
        name: what tests call it.
        kind: train or export.
        script: what its child plays.
        outcome: how it must end; None is a body that nobody can read.
        passes: a call that a run without a crash must make, or it is not the run that is meant.
        after: crashes begin after this call; before it the run is the same as that of another scenario.
        until: crashes end with the first call after that which begins so; from there on it is the same again.
        environ: settings on top of the quick ones.
        prepare: brings the job about; by default its message is sent.
        note: a training's tag of any length.
    """

    name: str
    kind: KindName
    script: str
    outcome: Outcome | None
    passes: str = ""
    after: str = "GetItem LEASE no. 1"
    until: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Scenario, Stage, str], Awaitable[None]] | None = None
    note: str = ""

    def __str__(self) -> str:
        """The name."""
        return self.name

    def body(self, owner_id: str) -> str:
        """The request of the job or export of that id."""
        if self.kind == "train":
            tags = {"script": self.script, "note": self.note}
            job = {"job_id": owner_id, "job_name": f"run-{owner_id}", "tags": tags}
            return encode(decode_train_job(json.dumps(job), message_id=""))
        export = {
            "export_id": owner_id,
            "job_id": TRAINING_ID,
            "model_s3_uri": f"s3://bucket/{self.script}/",
            "output_s3_prefix": "s3://bucket/coreml/trained/",
        }
        return encode(decode_export_job(json.dumps(export), message_id=""))

    def job(self, owner_id: str) -> Any:
        """The request, parsed."""
        read = decode_train_job if self.kind == "train" else decode_export_job
        return read(self.body(owner_id), message_id="")

    async def bring_about(self, stage: Stage, owner_id: str) -> None:
        """Make what the job needs to be found."""
        if self.kind == "export":
            await stage.table.add_job(_parent(stage))
        if self.prepare is None:
            await stage.send(self.body(owner_id))
        else:
            await self.prepare(self, stage, owner_id)


def _parent(stage: Stage) -> Job:
    body = {"job_id": TRAINING_ID, "job_name": "trained"}
    job = decode_train_job(json.dumps(body), message_id="")
    return job_record(job, stage.settings.runs / "trained/", status="succeeded")


async def _cancelled_before(scenario: Scenario, stage: Stage, owner_id: str) -> None:
    await stage.table.request_cancel(owner_id, kind=scenario.kind, now=now())
    await stage.send(scenario.body(owner_id))


async def _unreadable(scenario: Scenario, stage: Stage, owner_id: str) -> None:
    await stage.send(json.dumps({**json.loads(scenario.body(owner_id)), "surprise": 1}))


async def _message_lost(scenario: Scenario, stage: Stage, owner_id: str) -> None:
    settings = stage.settings.model_copy(update={"orphan_seconds": 0.001})
    await register(stage.table, settings, scenario.kind, owner_id, scenario.body(owner_id))


async def _claim_by_the_dead(scenario: Scenario, stage: Stage, owner_id: str) -> JobLease:
    return await stage.table.claim_lease(
        owner_id,
        kind=scenario.kind,
        claim_id=str(uuid.uuid4()),
        worker="the dead",
        now=now(),
        expires_at=stage.table.clock.text(-10),
        body=scenario.body(owner_id),
    )


async def _worker_died(scenario: Scenario, stage: Stage, owner_id: str) -> None:
    await _claim_by_the_dead(scenario, stage, owner_id)


async def _decided_then_died(scenario: Scenario, stage: Stage, owner_id: str) -> None:
    lease = await _claim_by_the_dead(scenario, stage, owner_id)
    kind = make_kind(scenario.kind, stage.settings, stage.aws, "the dead")
    verdict = AttemptResult(Ending.DONE, report=_REPORTS[scenario.kind])
    decision = kind.decide(scenario.job(owner_id), lease.attempt, verdict)
    await stage.table.decide_lease(lease, outcome="succeeded", decision=decision, now=now())


_REPORTS: dict[KindName, Trained | Exported] = {
    "train": Trained(
        run_s3_uri="s3://bucket/r/", best_checkpoint_s3_uri="s3://bucket/r/best/", results={"best_f1": 0.5}
    ),
    "export": Exported(
        mlpackage_s3_uri="s3://bucket/x.mlpackage",
        bundle_s3_uri="s3://bucket/x/",
        canonical_bundle_s3_uri="s3://bucket/x.zip",
        canonical_bundle_etag="etag",
        model_size_bytes=12,
    ),
}


def _training(name: str, script: str, outcome: Outcome | None, passes: str, **more: Any) -> Scenario:
    return Scenario(f"a training {name}", "train", script, outcome, passes, **more)


def _export(name: str, script: str, outcome: Outcome | None, passes: str, **more: Any) -> Scenario:
    return Scenario(f"an export {name}", "export", script, outcome, passes, **more)


_CLAIM = "UpdateItem LEASE TYPE,kind,state=held"
_RENEWAL = "UpdateItem LEASE expires_at"
_RELEASE = "UpdateItem LEASE state=free"
_INTERRUPTED = "UpdateItem JOB status,attempt,GSI1PK interrupted"
_BEGUN = "PutItem STATUS no. 1"
_EXPORT_BEGUN = "UpdateItem EXPORT status,updated_at,attempt RUNNING no. 2"
_LARGE = "x" * MOST_BYTES
_SHORT_MESSAGES = {"LAYOUTLM_MESSAGE_SECONDS": "0.2"}

TRAININGS = (
    _training("that succeeds", "succeed", "succeeded", "SendMessage exports", after=""),
    _training("that cannot work", "fail:data", "failed", "SendMessage results", after=_BEGUN),
    _training("whose first attempt fails", "retry:throttled|succeed", "succeeded", _RELEASE, after=_BEGUN),
    _training("whose first host is at fault", "retry:disk|succeed", "succeeded", _INTERRUPTED, after=_BEGUN),
    _training("that is cancelled while it runs", "cancel", "cancelled", _RENEWAL, after=_BEGUN),
    _training(
        "that is cancelled before it runs",
        "succeed",
        "cancelled",
        "SendMessage results",
        prepare=_cancelled_before,
    ),
    _training("whose host stops", "stop", "succeeded", _RELEASE, after=_BEGUN),
    _training(
        "past the message's twelve hours",
        "work:1",
        "succeeded",
        _RENEWAL,
        after=_BEGUN,
        environ=_SHORT_MESSAGES,
    ),
    _training(
        "past twelve hours whose host stops",
        "work:1+stop",
        "succeeded",
        "SendMessage jobs",
        after=_BEGUN,
        environ=_SHORT_MESSAGES,
    ),
    _training("whose worker died", "succeed", "succeeded", _CLAIM, until=_CLAIM, prepare=_worker_died),
    _training(
        "that was decided when its worker died",
        "succeed",
        "succeeded",
        "SendMessage results",
        prepare=_decided_then_died,
    ),
    _training(
        "whose request is large",
        "succeed",
        "succeeded",
        "PutObject requests",
        until=_CLAIM,
        note=_LARGE,
    ),
    _training(
        "past twelve hours whose host stops and whose request is large",
        "work:1+stop",
        "succeeded",
        "GetObject requests",
        after=_BEGUN,
        environ=_SHORT_MESSAGES,
        note=_LARGE,
    ),
    _training("that nobody can read", "succeed", None, "SendMessage dead", prepare=_unreadable),
)

EXPORTS = (
    _export("that succeeds", "succeed", "succeeded", "SendMessage results", after=""),
    _export("that cannot work", "fail:bundle", "failed", "SendMessage results", after=_EXPORT_BEGUN),
    _export("that is cancelled while it runs", "cancel", "cancelled", _RENEWAL, after=_EXPORT_BEGUN),
    _export("whose host stops", "stop", "succeeded", _RELEASE, after=_EXPORT_BEGUN),
    _export("whose message was lost", "succeed", "succeeded", _CLAIM, until=_CLAIM, prepare=_message_lost),
    _export(
        "that was decided when its worker died",
        "succeed",
        "succeeded",
        "SendMessage results",
        prepare=_decided_then_died,
    ),
    _export("that nobody can read", "succeed", None, "SendMessage dead", prepare=_unreadable),
)
