"""Finding jobs, and what lies beside a job in its partition: statuses, checkpoints, the end of its log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from receipt_dynamo.entities import Job, JobCheckpoint, JobLog, JobStatus
from receipt_dynamo.entities.fields import JobState
from receipt_dynamo.entities.record import fields_of
from receipt_dynamo.errors import InvalidItem, NotFound
from receipt_dynamo.operations.jobs import get_job, get_job_by_name
from receipt_dynamo.operations.paging import read_all, read_pages
from receipt_dynamo.requests import queries, records
from receipt_dynamo.steps import Found, Steps
from receipt_dynamo.values import Item


def find_job(table: str, job: str, *, prefer_succeeded: bool = False) -> Steps[Job]:
    """Return the job of that id, or the newest one of that name; raise `NotFound`, or `InvalidItem`.

    With `prefer_succeeded` the newest that has a model comes before later ones that have none, such as a
    job that was refused because of its name.
    """
    if _is_uuid(job):
        try:
            return (yield from get_job(table, job))
        except NotFound:
            pass  # a name may look like an id
    named = yield from get_job_by_name(table, job)
    found: list[Job] = named
    if prefer_succeeded:
        found = sorted(named, key=lambda one: one.status != "succeeded")  # stable: newest first stays
    if found:
        return found[0]
    if named.skipped:  # there is one, and its name alone is of no use
        raise named.skipped[0]
    raise NotFound(f"There is no job with the id or the name {job}. `layoutlm-cli jobs` lists them.")


class NameHolder(NamedTuple):
    """A job that has a name, however damaged its record may be; `status` is None where it says none."""

    job_id: str
    status: str | None


def list_name_holders(table: str, name: str) -> Steps[Found[NameHolder]]:
    """Return who has a name, newest first, read from no more of each record than its key and status."""
    return read_all(queries.jobs_by_name(table, name), _name_holder)


def get_job_status(table: str, job_id: str) -> Steps[str | None]:
    """Return a job's status, whatever else its record holds; raise `NotFound`."""
    response = yield records.get_record(table, records.job_key(job_id))
    if "Item" not in response:
        raise NotFound(f"There is no job with the id {job_id}. `layoutlm-cli jobs` lists them.")
    return _name_holder(response["Item"]).status


def list_newest_jobs(
    table: str, statuses: Sequence[JobState], limit: int | None, *, before: str | None = None
) -> Steps[Found[Job]]:
    """Return up to `limit` jobs (all when None) of some statuses, the newest first.

    One query of the index a status and page. `before` leaves out what was created then or later.
    """
    found: list[Job] = []
    skipped: list[InvalidItem] = []
    for status in statuses:
        request = queries.jobs_by_status(table, status, newest_first=True, before=before)
        page = yield from read_pages(request, Job.from_item, limit, None)
        found += page.items
        skipped += page.skipped
    newest = sorted(found, key=lambda job: (job.created_at, job.job_id), reverse=True)
    return Found(newest[:limit], skipped)


def list_job_statuses(table: str, job_id: str) -> Steps[Found[JobStatus]]:
    """Return every change of a job's status, oldest first."""
    return read_all(queries.job_statuses(table, job_id), JobStatus.from_item)


def list_job_checkpoints(table: str, job_id: str) -> Steps[Found[JobCheckpoint]]:
    """Return the records of a job's checkpoints, oldest first."""
    return read_all(queries.job_checkpoints(table, job_id), JobCheckpoint.from_item)


def list_last_job_logs(table: str, job_id: str, limit: int) -> Steps[Found[JobLog]]:
    """Return the last lines of a job's log, oldest first; the rest is not read."""
    request = queries.job_logs(table, job_id, newest_first=True)
    page = yield from read_pages(request, JobLog.from_item, limit, None)
    return Found(page.items[::-1], page.skipped)


def _name_holder(item: Item) -> NameHolder:
    # A record of another kind under the index key of a job's name claims that name all the same.
    return NameHolder(str(fields_of(item, Job.TYPE, "PK")["job_id"]), item.get("status", {}).get("S"))


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
