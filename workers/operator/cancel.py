"""Requests the cancellation of a job."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from messages.errors import InvalidMessage
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import now, read_time
from receipt_dynamo.entities import JobLease
from receipt_dynamo.entities.field_types import LeaseKind
from receipt_dynamo.errors import ConditionFailed, NotFound
from receipt_dynamo.operations.leases import LeaseRefused
from workers.aws_clients import Aws, open_aws
from workers.daemon import worker_name
from workers.jobs.registry import make_kind
from workers.runtime.completion import complete
from workers.runtime.outcome import AttemptResult, Ending
from workers.runtime.request_bodies import BodyUnreachable, RequestBodies
from workers.settings import Settings
from workers.sqs.queue import Received

_ENDED = {"succeeded", "failed", "cancelled"}
_RESULTS: dict[LeaseKind, str] = {"train": "train_results_queue_url", "export": "export_results_queue_url"}


@dataclass(frozen=True, slots=True)
class Cancellable:
    """A job or an export as its record shows it."""

    kind: LeaseKind
    owner_id: str
    name: str
    status: str

    def __str__(self) -> str:
        """Name, id and status: of several jobs of one name it is this one."""
        named = (
            f"export {self.owner_id} (" if self.kind == "export" else f"{self.name} (job {self.owner_id}, "
        )
        return f"{named}{self.status})"

    @property
    def ended(self) -> bool:
        """Whether the record shows a final status."""
        return self.status.lower() in _ENDED


async def ask_to_cancel(settings: Settings, named: str) -> str:
    """Cancel a job that no worker holds, or leave word for its worker; returns what came of it.

    Raises:
        NotFound: neither a job nor an export is called that.
    """
    async with open_aws(settings) as aws:
        found = await find_cancellable(aws.table, named)
        over = f"{found} has ended already; nothing to cancel"
        if found.ended:
            return over
        try:
            # Before anything else: a worker that takes the job from now on sees it.
            lease = await aws.table.request_cancel(found.owner_id, kind=found.kind, now=now())
        except ConditionFailed:  # the lease knows first
            return over
        if lease.state == "held" and read_time(lease.expires_at) > aws.table.clock.now():
            return (
                f"{found} will be cancelled: {lease.worker} has it and hears of this within a heartbeat. If "
                f"that process is gone, cancel again after {lease.expires_at[:19]} UTC."
            )
        if await _cancel_unheld(aws, settings, lease):
            return f"{found} is cancelled"
    return f"{found} will be cancelled when a worker takes it"


async def find_cancellable(table: AsyncDynamoClient, named: str) -> Cancellable:
    """The job of that id, the newest of that name that has not ended, or the export of that id.

    Where all jobs of the name have ended, it is the newest.

    Raises:
        NotFound: there is neither.
    """
    try:
        job = await table.find_job(named)
    except NotFound:
        pass
    else:
        if job.status in _ENDED and job.job_id != named:
            of_name = (await table.get_job_by_name(named)).items
            job = next((one for one in of_name if one.status not in _ENDED), job)
        return Cancellable("train", job.job_id, job.name, job.status)
    try:
        export = await table.get_coreml_export_job(named)
    except NotFound as error:
        raise NotFound(
            f"There is no job with the id or the name {named}, and no export with that id. "
            "`layoutlm-cli jobs` lists jobs, `layoutlm-cli status JOB` their exports."
        ) from error
    return Cancellable("export", export.export_id, f"export {export.export_id}", export.status)


async def _cancel_unheld(aws: Aws, settings: Settings, lease: JobLease) -> bool:
    """Take a job that no worker holds, as a worker would, and decide it; False where that cannot be done.

    A lease without a request, or settings that do not say where its result goes, leave it to a worker.
    """
    results = () if lease.by_hand else (_RESULTS[lease.kind],)
    if lease.body is None or not all(getattr(settings, name) for name in ("bucket", *results)):
        return False
    table, worker = aws.table, worker_name()
    kind, bodies = make_kind(lease.kind, settings, aws, worker), RequestBodies(settings, lease.kind)
    try:
        request = str((await bodies.read(lease)).body)
        job = kind.decode(Received(message_id=lease.owner_id, body=request, receipt_handle=""))
        claimed = await table.claim_lease(
            lease.owner_id,
            kind=lease.kind,
            claim_id=str(uuid.uuid4()),
            worker=worker,
            now=table.clock.text(),
            expires_at=table.clock.text(settings.lease_seconds),
            body=lease.body,
            by_hand=lease.by_hand,
        )
    except (InvalidMessage, LeaseRefused, BodyUnreachable):
        # Of another version, or not to be read; or a worker was faster, and sees the request.
        return False
    began = "on request" if lease.attempt else "before it started"
    decision = kind.decide(
        job, claimed.attempt, AttemptResult(Ending.CANCELLED, message=f"Cancelled {began}.")
    )
    decided = await table.decide_lease(claimed, outcome="cancelled", decision=decision, now=now())
    await complete(kind, table, bodies, decided)
    return True
