"""Finding jobs, and what lies beside a job in its partition: statuses, checkpoints, the end of its log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from receipt_dynamo.entities import Job, JobCheckpoint, JobLog, JobStatus
from receipt_dynamo.entities.fields import JobState
from receipt_dynamo.errors import NotFound
from receipt_dynamo.operations.jobs import get_job, get_job_by_name
from receipt_dynamo.operations.paging import read_all, read_pages
from receipt_dynamo.requests import queries
from receipt_dynamo.steps import Steps


def find_job(table: str, job: str, *, prefer_succeeded: bool = False) -> Steps[Job]:
    """Return the job of that id, or the newest one of that name; raise `NotFound`.

    With `prefer_succeeded` the newest that has a model comes before later ones that have none, such as a
    job that was refused because of its name.
    """
    if _is_uuid(job):
        try:
            return (yield from get_job(table, job))
        except NotFound:
            pass  # a name may look like an id
    found = yield from get_job_by_name(table, job)
    if prefer_succeeded:
        found = sorted(found, key=lambda one: one.status != "succeeded")  # stable: newest first stays
    if found:
        return found[0]
    raise NotFound(f"There is no job with the id or the name {job}. `layoutlm-cli jobs` lists them.")


def list_newest_jobs(
    table: str, statuses: Sequence[JobState], limit: int | None, *, before: str | None = None
) -> Steps[list[Job]]:
    """Return up to `limit` jobs (all when None) of some statuses, the newest first.

    One query of the index a status and page. `before` leaves out what was created then or later.
    """
    found: list[Job] = []
    for status in statuses:
        request = queries.jobs_by_status(table, status, newest_first=True, before=before)
        found += (yield from read_pages(request, Job.from_item, limit, None)).items
    return sorted(found, key=lambda job: (job.created_at, job.job_id), reverse=True)[:limit]


def list_job_statuses(table: str, job_id: str) -> Steps[list[JobStatus]]:
    """Return every change of a job's status, oldest first."""
    return read_all(queries.job_statuses(table, job_id), JobStatus.from_item)


def list_job_checkpoints(table: str, job_id: str) -> Steps[list[JobCheckpoint]]:
    """Return the records of a job's checkpoints, oldest first."""
    return read_all(queries.job_checkpoints(table, job_id), JobCheckpoint.from_item)


def list_last_job_logs(table: str, job_id: str, limit: int) -> Steps[list[JobLog]]:
    """Return the last lines of a job's log, oldest first; the rest is not read."""
    request = queries.job_logs(table, job_id, newest_first=True)
    page = yield from read_pages(request, JobLog.from_item, limit, None)
    return page.items[::-1]


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
