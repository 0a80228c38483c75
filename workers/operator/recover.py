"""One recovery pass, started by a person or a timer."""

from __future__ import annotations

from workers.aws_clients import open_aws
from workers.daemon import worker_name
from workers.jobs.registry import NEEDS, QUEUE_FIELD, KindName, make_kind
from workers.runtime.recovery import OrphanRecovery
from workers.settings import Settings
from workers.sqs.queue import JobQueue


async def recover_jobs(settings: Settings, name: KindName) -> int:
    """Put forgotten jobs of one kind back on their queue and complete decided ones; returns how many.

    Raises:
        WorkerError, DynamoError, QueueError: it cannot be done now.
    """
    settings.require(*NEEDS[name])
    async with open_aws(settings) as aws:
        queue = await JobQueue.open(aws.sqs, getattr(settings, QUEUE_FIELD[name]))
        return await OrphanRecovery(
            make_kind(name, settings, aws, worker_name()), queue, aws.table, settings
        ).run()
