"""Operations on what belongs to a job: metrics, logs, changes of status, checkpoints."""

from __future__ import annotations

from dataclasses import replace

from receipt_dynamo.entities import JobCheckpoint, JobLog, JobMetric, JobStatus
from receipt_dynamo.errors import NotFound
from receipt_dynamo.operation import Operation, ResultPage, read_pages
from receipt_dynamo.requests import queries, records
from receipt_dynamo.types import Item


def list_job_metrics(
    table: str,
    job_id: str,
    metric_name: str | None = None,
    limit: int | None = None,
    last_evaluated_key: Item | None = None,
) -> Operation[ResultPage[JobMetric]]:
    """Return a job's metrics by name and time, or those of one name by time."""
    request = queries.job_metrics(table, job_id, metric_name)
    return read_pages(request, JobMetric.from_item, limit, last_evaluated_key)


def get_job_metric(table: str, job_id: str, metric_name: str, timestamp: str) -> Operation[JobMetric]:
    """Return one metric of a job as it stands now, by its name and time; raise `NotFound`."""
    key = records.metric_key(job_id, metric_name, timestamp)
    response = yield records.get_record(table, key)
    if "Item" not in response:
        raise NotFound(
            f"Job {job_id} has no metric {metric_name} of {timestamp} in {table}. `list_job_metrics` gives "
            "those that it has, with their times."
        )
    return JobMetric.from_item(response["Item"])


def get_metrics_by_name(
    table: str, metric_name: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[JobMetric]]:
    """Return the metrics of one name of every job, by time."""
    request = queries.metrics_by_name(table, metric_name)
    return read_pages(request, JobMetric.from_item, limit, last_evaluated_key)


def get_metrics_by_name_across_jobs(
    table: str, metric_name: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[JobMetric]]:
    """Return the metrics of one name grouped by job, within a job by time."""
    request = queries.metrics_by_name_across_jobs(table, metric_name)
    return read_pages(request, JobMetric.from_item, limit, last_evaluated_key)


def list_job_logs(
    table: str, job_id: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[JobLog]]:
    """Return a job's log, oldest first."""
    return read_pages(queries.job_logs(table, job_id), JobLog.from_item, limit, last_evaluated_key)


def list_job_statuses(
    table: str, job_id: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[JobStatus]]:
    """Return the changes of a job's status, oldest first."""
    return read_pages(queries.job_statuses(table, job_id), JobStatus.from_item, limit, last_evaluated_key)


def list_job_checkpoints(
    table: str, job_id: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[JobCheckpoint]]:
    """Return the records of a job's checkpoints, oldest first."""
    request = queries.job_checkpoints(table, job_id)
    return read_pages(request, JobCheckpoint.from_item, limit, last_evaluated_key)


def set_best_job_checkpoint(table: str, checkpoint: JobCheckpoint) -> Operation[None]:
    """Write a checkpoint's record, new or not, as the only one of its job that is best.

    It and the former best change in one transaction, so that at each moment one of them is the best.

    Raises:
        Throttled: another writer changed one of them at the same moment. Try again.
    """
    known = yield from list_job_checkpoints(table, checkpoint.job_id)
    former = [one for one in known.items if one.is_best and one.key() != checkpoint.key()]
    # Workers before 0.2 left `is_best` on each that was best when it was written.
    for one in former[:-1]:
        yield records.clear_best(table, one)
    yield records.move_best(table, replace(checkpoint, is_best=True), former[-1] if former else None)


def list_last_job_logs(table: str, job_id: str, limit: int) -> Operation[ResultPage[JobLog]]:
    """Return the last lines of a job's log, oldest first; the key goes on to the ones before them."""
    request = queries.job_logs(table, job_id, newest_first=True)
    page = yield from read_pages(request, JobLog.from_item, limit, None)
    return ResultPage(page.items[::-1], page.last_evaluated_key, page.skipped)
