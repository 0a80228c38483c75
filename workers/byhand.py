"""A training without a queue: the same claim, lease, child and record as in a daemon."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from messages.codec import encode
from messages.train import TrainJob
from receipt_dynamo.entities import Job
from workers.aws import open_aws
from workers.daemon import worker_name
from workers.handle import Handler
from workers.queue import JobQueue, Received
from workers.settings import Settings
from workers.stop import Stop
from workers.train import Training


class NoQueue(JobQueue):
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


async def train_by_hand(settings: Settings, job: TrainJob) -> tuple[str, Job]:
    """Run one training here; returns how it ended and the job's record."""
    stop = Stop()
    stop.install()
    worker = worker_name()
    async with open_aws(settings) as aws:
        kind = Training(settings, aws.table, aws.sqs, worker)
        handler: Handler[TrainJob] = Handler(kind, NoQueue(), aws.table, settings, stop, worker, by_hand=True)
        message = Received(message_id=str(uuid.uuid4()), body=encode(job), receipt_handle="")
        ending = await handler.take(message)
        return ending, await aws.table.get_job(job.job_id)
