"""Finding a job by what people type: its id or its name."""

from __future__ import annotations

import uuid

from receipt_dynamo.aio import AsyncDynamoClient
from receipt_dynamo.entities import Job
from receipt_dynamo.errors import NotFound


async def find_job(table: AsyncDynamoClient, job: str) -> Job:
    """The job of that id, or the newest one of that name.

    Raises:
        NotFound: there is none.
    """
    if _is_uuid(job):
        try:
            return await table.get_job(job)
        except NotFound:
            pass  # a name may look like an id
    for found in await table.get_job_by_name(job):
        return found
    raise NotFound(f"There is no job with the id or the name {job}. `layoutlm-cli jobs` lists them.")


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
