"""Cancelling by hand: a job by its id or name, an export by its id."""

from __future__ import annotations

from dataclasses import dataclass

from receipt_dynamo.aio import AsyncDynamoClient
from receipt_dynamo.entities.fields import LeaseKind
from receipt_dynamo.errors import ConditionFailed, NotFound
from receipt_dynamo.times import now
from workers.aws import open_aws
from workers.settings import Settings

_ENDED = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Cancellable:
    """A job or an export as its record shows it."""

    kind: LeaseKind
    owner_id: str
    name: str
    status: str


async def ask_to_cancel(settings: Settings, named: str) -> str:
    """Leave word on the lease that the work shall end; returns what will come of it, in a sentence.

    Raises:
        NotFound: neither a job nor an export is called that.
    """
    async with open_aws(settings) as aws:
        found = await find_cancellable(aws.table, named)
        ended = found.status.lower() in _ENDED
        if not ended:
            try:
                await aws.table.request_cancel(found.owner_id, kind=found.kind, now=now())
            except ConditionFailed:  # the lease knows first
                ended = True
    if ended:
        return f"{found.name} has ended already ({found.status}); nothing to cancel"
    return f"{found.name} ({found.status}) will be cancelled"


async def find_cancellable(table: AsyncDynamoClient, named: str) -> Cancellable:
    """The job of that id or name or, where there is none, the export of that id.

    Raises:
        NotFound: there is neither.
    """
    try:
        job = await table.find_job(named)
    except NotFound:
        pass
    else:
        return Cancellable("train", job.job_id, job.name, job.status)
    try:
        export = await table.get_coreml_export_job(named)
    except NotFound as error:
        raise NotFound(
            f"There is no job with the id or the name {named}, and no export with that id. "
            "`layoutlm-cli jobs` lists jobs, `layoutlm-cli status JOB` their exports."
        ) from error
    return Cancellable("export", export.export_id, f"export {export.export_id}", export.status)
