"""Operations on jobs, run names and their lists."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from receipt_dynamo.attribute_values import read_value
from receipt_dynamo.entities import CoreMLExport, Job, Record
from receipt_dynamo.entities.field_types import ExportState, JobState
from receipt_dynamo.entities.record import fields_of
from receipt_dynamo.errors import ConditionFailed, InvalidItem, NotFound
from receipt_dynamo.operation import Operation, ResultPage, read_all, read_pages
from receipt_dynamo.operations.leases import get_run_name
from receipt_dynamo.requests import queries, records
from receipt_dynamo.types import Item

R = TypeVar("R", bound=Record)
_UNSUCCESSFUL = {"failed", "cancelled"}


def get_job(table: str, job_id: str) -> Operation[Job]:
    """Return a job as it stands now; raise `NotFound`."""
    return (yield from _get(table, Job, records.job_key(job_id)))


def get_job_by_name(
    table: str, name: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[Job]]:
    """Return the jobs of this name, newest first; names repeat when an experiment is run again."""
    return read_pages(queries.jobs_by_name(table, name), Job.from_item, limit, last_evaluated_key)


def list_jobs(
    table: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[Job]]:
    """Return jobs of every status, in no order."""
    return read_pages(queries.of_type(table, Job.TYPE), Job.from_item, limit, last_evaluated_key)


def list_jobs_by_status(
    table: str, status: JobState, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[Job]]:
    """Return the jobs of one status, oldest first."""
    return read_pages(queries.jobs_by_status(table, status), Job.from_item, limit, last_evaluated_key)


def get_latest_job_by_status(table: str, status: JobState) -> Operation[Job | None]:
    """Return the job of this status that was created last, or None."""
    request = queries.jobs_by_status(table, status, newest_first=True)
    page = yield from read_pages(request, Job.from_item, 1, None)
    return page.items[0] if page.items else None


def update_job_status(  # noqa: PLR0913 - one write of everything that changes together
    table: str,
    job_id: str,
    status: JobState,
    *,
    attempt: int | None,
    attributes: Mapping[str, Any] | None = None,
    results: Mapping[str, Any] | None = None,
) -> Operation[None]:
    """Set a job's status and what else is given, unless a later attempt has written to it.

    Args:
        table: the table's name, which the client fills in.
        job_id: whose record.
        status: the new status.
        attempt: the lease's attempt; the write is refused if the record carries a higher one. None for
            people and tools, who hold no lease: it is then neither checked nor written.
        attributes: further attributes of `Job` by name, such as `error_message`.
        results: entries of `results`, set one by one, so that what others wrote there stays.

    Raises:
        NotFound: there is no such job; none is made.
        ConditionFailed: a later attempt has the job. Stop the work and write nothing more.
    """
    return _update_job(table, job_id, {"status": status, **(attributes or {})}, attempt, results)


def merge_job_results(
    table: str, job_id: str, results: Mapping[str, Any], *, attempt: int | None = None
) -> Operation[None]:
    """Set entries of a job's `results` one by one, whether it has any yet; raises as `update_job_status`."""
    return _update_job(table, job_id, {}, attempt, results)


def get_coreml_export_job(table: str, export_id: str) -> Operation[CoreMLExport]:
    """Return an export as it stands now; raise `NotFound`."""
    return (yield from _get(table, CoreMLExport, records.export_key(export_id)))


def get_coreml_export_jobs_for_job(
    table: str, job_id: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[CoreMLExport]]:
    """Return the exports of one job, in no meaningful order."""
    request = queries.exports_for_job(table, job_id)
    return read_pages(request, CoreMLExport.from_item, limit, last_evaluated_key)


def get_coreml_export_jobs_by_status(
    table: str, status: ExportState, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[CoreMLExport]]:
    """Return the exports of one status, in no meaningful order."""
    request = queries.exports_by_status(table, status)
    return read_pages(request, CoreMLExport.from_item, limit, last_evaluated_key)


def update_coreml_export_status(
    table: str,
    export_id: str,
    status: ExportState,
    *,
    attempt: int | None,
    attributes: Mapping[str, Any] | None = None,
) -> Operation[None]:
    """Set an export's status and what else is given; `attempt` and errors as for `update_job_status`."""
    request = records.update_export(
        table, export_id, {"status": status, **(attributes or {})}, attempt=attempt
    )
    try:
        yield request
    except ConditionFailed as refused:
        raise _refused(CoreMLExport, export_id, attempt, refused) from refused


def _get(table: str, kind: type[R], key: Item) -> Operation[R]:
    response = yield records.get_record(table, key)
    if "Item" not in response:
        raise NotFound(f"{key['PK']['S']} does not exist in {table}. Check the id and the table's name.")
    return kind.from_item(response["Item"])


def _update_job(
    table: str,
    job_id: str,
    attributes: Mapping[str, Any],
    attempt: int | None,
    results: Mapping[str, Any] | None,
) -> Operation[None]:
    request = records.update_job(table, job_id, attributes, attempt=attempt, results=results)
    try:
        yield request
    except ConditionFailed as refused:
        if not results or refused.item is None or "M" in refused.item.get("results", {}):
            raise _refused(Job, job_id, attempt, refused) from refused
    else:
        return
    yield from _start_results(table, job_id, attributes, attempt, results)


def _start_results(
    table: str, job_id: str, attributes: Mapping[str, Any], attempt: int | None, results: Mapping[str, Any]
) -> Operation[None]:
    try:
        yield records.update_job(table, job_id, attributes, attempt=attempt, results=results, merge=False)
    except ConditionFailed as refused:
        if refused.item is None or "M" not in refused.item.get("results", {}):
            raise _refused(Job, job_id, attempt, refused) from refused
    else:
        return
    # Another writer made the map between our two tries; it is never taken away again, so merging works now.
    yield from _update_job(table, job_id, attributes, attempt, results)


def _refused(
    kind: type[Record], record_id: str, attempt: int | None, refused: ConditionFailed
) -> NotFound | ConditionFailed:
    if refused.item is None:
        return NotFound(f"{kind.TYPE} {record_id} does not exist, so it was not updated. Add it first.")
    standing = read_value("attempt", refused.item.get("attempt", {"NULL": True}))
    return ConditionFailed(
        f"{kind.TYPE} {record_id} is at attempt {standing}, past this writer's {attempt}: another worker has"
        " it. Stop the work and write nothing more.",
        refused.item,
    )


def find_job(table: str, job: str, *, prefer_succeeded: bool = False) -> Operation[Job]:
    """Return the job of that id, or the newest of that name; raise `NotFound`, or `InvalidItem`.

    One that failed or was cancelled hides no older owner of the name; `prefer_succeeded` asks for a model.
    """
    with suppress(NotFound):  # a name may look like an id
        if _is_uuid(job):
            return (yield from get_job(table, job))
    page = yield from get_job_by_name(table, job)
    named = page.items
    if not named:
        if page.skipped:  # there is one, and its name alone is of no use
            raise page.skipped[0]
        raise NotFound(f"There is no job with the id or the name {job}. `layoutlm-cli jobs` lists them.")
    if prefer_succeeded:
        return min(named, key=lambda one: one.status != "succeeded")  # the first of equals: the newest
    if len(named) > 1 and named[0].status in _UNSUCCESSFUL:
        run_name = yield from get_run_name(table, job)
        owned = (one for one in named if run_name and one.job_id == run_name.job_id)
        return next((one for one in owned if one.status not in _UNSUCCESSFUL), named[0])
    return named[0]


class NameHolder(NamedTuple):
    """A job that has a name, however damaged its record may be; `status` is None where it says none."""

    job_id: str
    status: str | None


def list_name_holders(table: str, name: str) -> Operation[ResultPage[NameHolder]]:
    """Return who has a name, newest first, read from no more of each record than its key and status."""
    return read_all(queries.jobs_by_name(table, name), _name_holder)


def get_job_status(table: str, job_id: str) -> Operation[str | None]:
    """Return a job's status, whatever else its record holds; raise `NotFound`."""
    response = yield records.get_record(table, records.job_key(job_id))
    if "Item" not in response:
        raise NotFound(f"There is no job with the id {job_id}. `layoutlm-cli jobs` lists them.")
    return _name_holder(response["Item"]).status


def list_newest_jobs(
    table: str, statuses: Sequence[JobState], limit: int | None, *, before: str | None = None
) -> Operation[ResultPage[Job]]:
    """Return up to `limit` jobs (all when None) of some statuses, the newest first.

    One query of the index a status and page. The key is always None, because several queries have none in
    common: go on with `before`, which leaves out what was created then or later.
    """
    found: list[Job] = []
    skipped: list[InvalidItem] = []
    for status in statuses:
        request = queries.jobs_by_status(table, status, newest_first=True, before=before)
        page = yield from read_pages(request, Job.from_item, limit, None)
        found += page.items
        skipped += page.skipped
    newest = sorted(found, key=lambda job: (job.created_at, job.job_id), reverse=True)
    return ResultPage(newest[:limit], None, skipped)


def _name_holder(item: Item) -> NameHolder:
    # A record of another kind under the index key of a job's name claims that name, too.
    return NameHolder(str(fields_of(item, Job.TYPE, "PK")["job_id"]), item.get("status", {}).get("S"))


def _is_uuid(text: str) -> bool:
    with suppress(ValueError):
        return bool(uuid.UUID(text))
    return False
