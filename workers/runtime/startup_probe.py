"""Checks before the first message that a job can run and end here: access to queues, table and bucket.

Each permission is asked for by a request that changes nothing: an empty batch, a write whose condition cannot
hold. Only the bucket knows no such request, so one small object is written there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.entities import JobLease
from receipt_dynamo.entities.field_types import LeaseKind
from receipt_dynamo.errors import CredentialsError, DynamoError, NetworkError, Throttled
from receipt_dynamo.operations.leases import LeaseRefused
from workers.errors import CredentialsRefused, QueueError, SettingsError
from workers.s3_bucket import open_bucket
from workers.settings import Settings
from workers.sqs.distinct_queues import check_distinct
from workers.sqs.queue import JobQueue, check_queue, check_sending

if TYPE_CHECKING:
    from workers.aws_clients import Aws


NOBODY = "00000000-0000-4000-8000-000000000000"
"""An id that no record has: a lease with this id can be requested and is never found."""
LONG_AGO = "1970-01-01T00:00:00.000000+00:00"
PROBE_NAME = ".worker-probe"
"""Key that no run or bundle can have: their names begin with a letter or a digit."""
_PROBE = b"A worker writes this when it starts, to see whether it may.\n"


async def probe(
    aws: Aws, settings: Settings, kind: LeaseKind, queue: JobQueue, others: Sequence[str]
) -> None:
    """Ask for everything; `others` are the URLs of the queues that are sent to.

    Raises:
        WorkerError: something is missing, or not as it has to be.
        QueueError: it cannot be asked now.
    """
    await queue.check()
    for url in others:
        await check_queue(aws.sqs, url)
        await check_sending(aws.sqs, url)
    used = {queue.url, *others}
    await check_distinct(aws.sqs, {name: url for name, url in settings.queue_urls.items() if url in used})
    await _probe_bucket(settings, kind)
    await _probe_table(aws.table, kind)


async def _probe_table(table: AsyncDynamoClient, kind: LeaseKind) -> None:
    nobodys = JobLease(
        kind=kind, owner_id=NOBODY, state="held", attempt=1, expires_at=LONG_AGO, claim_id=NOBODY
    )
    try:
        await table.list_leases(kind, "held", before=LONG_AGO)
        await table.get_job_by_name(PROBE_NAME)
        await _may_write(table, nobodys)
        await table.get_lease(NOBODY, kind=kind)
    except (NetworkError, Throttled) as error:
        raise QueueError(str(error)) from error
    except CredentialsError as error:
        raise CredentialsRefused(str(error)) from error
    except DynamoError as error:
        raise SettingsError(str(error)) from error


async def _may_write(table: AsyncDynamoClient, nobodys: JobLease) -> None:
    try:
        await table.renew_lease(nobodys, expires_at=LONG_AGO)
    except LeaseRefused:
        return


async def _probe_bucket(settings: Settings, kind: LeaseKind) -> None:
    folder = settings.folder_of(kind)
    key = f"{folder.key}{PROBE_NAME}"
    tag = settings.checkpoint_tag if kind == "train" else None
    async with open_bucket(settings) as bucket:
        await bucket.look(folder.key)
        await bucket.put(key, _PROBE, tag=tag)
        await bucket.get(key)
