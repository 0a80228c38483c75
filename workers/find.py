"""Finding a job by what people type: its id or its name."""

from __future__ import annotations

import uuid

from receipt_dynamo.aio import AsyncDynamoClient
from receipt_dynamo.entities import Job
from receipt_dynamo.errors import NotFound


async def find_job(table: AsyncDynamoClient, job: str, *, prefer_succeeded: bool = False) -> Job:
    """The job of that id, or the newest one of that name.

    With `prefer_succeeded` the newest that has a model comes before later ones that have none, such as a
    job that was refused because of its name.

    Raises:
        NotFound: there is none.
    """
    if _is_uuid(job):
        try:
            return await table.get_job(job)
        except NotFound:
            pass  # a name may look like an id
    found = await table.get_job_by_name(job)
    if prefer_succeeded:
        found = sorted(found, key=lambda one: one.status != "succeeded")  # stable: newest first stays
    if found:
        return found[0]
    raise NotFound(f"There is no job with the id or the name {job}. `layoutlm-cli jobs` lists them.")


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
