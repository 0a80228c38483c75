"""Runs one training without a queue."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from messages.codec import decode_train_job, encode
from messages.errors import Fault, InvalidMessage, shorten
from messages.train import TrainJob
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import read_time
from receipt_dynamo.entities import Job, JobCheckpoint, JobLease
from receipt_dynamo.entities.field_types import LeaseOutcome
from receipt_dynamo.errors import DynamoError, InvalidItem, NotFound
from workers.aws_clients import Aws, open_aws
from workers.daemon import worker_name
from workers.errors import NotNow, QueueError
from workers.jobs.training import UNSUCCESSFUL, TrainingHandler
from workers.runtime.attempt_folder import Orphans
from workers.runtime.message_processor import MessageProcessor
from workers.settings import Settings
from workers.sqs.queue import JobQueue, Received
from workers.stop import Stop

_WHY = {"STOPPED": "it was stopped", "LOST": "its lease was lost"}


class NullQueue(JobQueue):
    """Stands where a queue would: there is no message to keep, to show again or to delete."""

    def __init__(self) -> None:
        super().__init__(None, "by hand", "by hand")

    async def put(self, body: str, attributes: Mapping[str, str], *, delay_seconds: float = 0) -> None:  # noqa: D102
        pass

    async def bury(self, message: Received, reasons: Mapping[str, str]) -> None:  # noqa: D102
        pass

    async def show_after(self, message: Received, seconds: float) -> bool:  # noqa: ARG002, D102
        return True

    async def delete(self, message: Received) -> None:  # noqa: D102
        pass


@dataclass(frozen=True, slots=True)
class HandRun:
    """A local training as it is when its command ends.

    Attributes:
        job: the request, under the id that it keeps.
        outcome: how it was decided; None where the same command goes on with it.
        why: the reason of an outcome other than success, or of the interruption.
        record: the Job; None where the attempt ended before there was one.
        checkpoint: the newest that was uploaded.
    """

    job: TrainJob
    outcome: LeaseOutcome | None
    why: str
    record: Job | None
    checkpoint: JobCheckpoint | None


async def run_locally(settings: Settings, job: TrainJob) -> tuple[str, Job]:
    """Run one attempt here; returns how it ended and the job's record. Who calls tries again."""
    stop = Stop()
    stop.install()
    async with open_aws(settings) as aws:
        return await _attempt(aws, settings, job, stop), await aws.table.get_job(job.job_id)


async def train_or_go_on(
    settings: Settings, job: TrainJob, *, as_before: bool, goes_on: Callable[[JobLease], None]
) -> HandRun:
    """Run one training here, or go on with the one that was interrupted under this name.

    Args:
        settings: where table, bucket and queues are.
        job: the request.
        as_before: whether an interrupted job goes on with the options that it was begun with, whatever
            they are; otherwise they have to be those of `job`.
        goes_on: told of the interrupted job.

    Raises:
        InvalidMessage: another job has the name, or the interrupted one was begun with other options.
        NotNow: another process has the job, or AWS failed: the same call may succeed later.
    """
    stop = Stop()
    stop.install()
    async with open_aws(settings) as aws:
        unfinished = await _find_unfinished(aws.table, job.job_name)
        if unfinished is not None:
            if unfinished.state == "held" and read_time(unfinished.expires_at) > aws.table.clock.now():
                raise _held(unfinished, job)
            job = _request_of(unfinished, job, as_before=as_before)
            goes_on(unfinished)
        else:
            await _refuse_taken_name(aws.table, job)
        # Nothing brings the job back: the first failure is the last.
        once = settings.model_copy(update={"max_attempts": 1})
        try:
            ending = await _attempt(aws, once, job, stop)
            return await _look_at(aws.table, job, ending)
        except (DynamoError, QueueError) as error:
            raise NotNow(
                f"{error} The job {job.job_name} is not decided. When AWS answers again, and after the "
                f"{settings.lease_seconds:g} s of its lease, `layoutlm-cli train {job.job_name}` goes on."
            ) from error


async def _attempt(aws: Aws, settings: Settings, job: TrainJob, stop: Stop) -> str:
    await asyncio.to_thread(Orphans(settings.work_dir).remove)
    worker = worker_name()
    kind = TrainingHandler(settings, aws.table, aws.sqs, worker)
    handler: MessageProcessor[TrainJob] = MessageProcessor(
        kind, NullQueue(), aws.table, settings, stop, worker, by_hand=True
    )
    return await handler.take(Received(message_id=str(uuid.uuid4()), body=encode(job), receipt_handle=""))


async def _find_unfinished(table: AsyncDynamoClient, name: str) -> JobLease | None:
    """The lease of the local job that has the name and is not complete."""
    owner = await table.get_run_name(name)
    lease = None if owner is None else await table.get_lease(owner.job_id, kind="train")
    return lease if lease and lease.by_hand and lease.body and lease.state != "closed" else None


def _held(lease: JobLease, job: TrainJob) -> NotNow:
    return NotNow(
        f"{job.job_name} (job {lease.owner_id}) is held by {lease.worker} until {lease.expires_at[:19]} UTC. "
        "If that process is gone, the same command goes on with the job after that moment."
    )


def _request_of(unfinished: JobLease, job: TrainJob, *, as_before: bool) -> TrainJob:
    begun = decode_train_job(str(unfinished.body), message_id=unfinished.owner_id)
    now, before = _flat(job), _flat(begun)
    changed = [name for name in now if now[name] != before[name]]
    if changed and not as_before:
        said = (
            f"belongs to job {begun.job_id}, which is not finished and was begun with other options. Pass "
            f"the same ones or none to go on with it; `layoutlm-cli cancel {begun.job_id}` gives it up"
        )
        faults = [
            Fault(name, f"{shorten(now[name])}, begun with {shorten(before[name])}") for name in changed
        ]
        raise InvalidMessage("train", [Fault("job_name", said), *faults], begun.job_id)
    return begun


def _flat(job: TrainJob) -> dict[str, Any]:
    fields = job.model_dump(mode="json", exclude={"job_id", "hyperparameters"})
    return {**fields, **job.hyperparameters.model_dump(mode="json")}


async def _refuse_taken_name(table: AsyncDynamoClient, job: TrainJob) -> None:
    """Refuse here what beginning would refuse, so that no failed record takes the place of the name's job."""
    for other in (await table.list_name_holders(job.job_name)).items:
        if other.status not in UNSUCCESSFUL:
            status = other.status or "status unreadable"
            said = f"{job.job_name} belongs to job {other.job_id} ({status}), with the run's folder. "
            raise InvalidMessage("train", [Fault("job_name", f"{said}Choose another name")], other.job_id)


async def _look_at(table: AsyncDynamoClient, job: TrainJob, ending: str) -> HandRun:
    lease = await table.get_lease(job.job_id, kind="train")
    if ending == "HELD_ELSEWHERE" and lease is not None:  # taken, or nearly over, at this very moment
        raise _held(lease, job)
    try:
        record = await table.get_job(job.job_id)
    except (NotFound, InvalidItem):  # the lease tells how it ended
        record = None
    checkpoints = (await table.list_job_checkpoints(job.job_id)).items
    outcome = lease.outcome if lease and lease.state in {"decided", "closed"} else None
    failures = [one["message"] for one in lease.failures if one["attempt"] == lease.attempt] if lease else []
    why = record.error_message if record and outcome else _WHY.get(ending) or next(iter(failures), None)
    return HandRun(job, outcome, why or ending, record, checkpoints[-1] if checkpoints else None)
