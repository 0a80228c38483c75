"""Reads all records of one job from the table."""

from __future__ import annotations

from dataclasses import dataclass

from receipt_dynamo.entities import CoreMLExport, Job, JobLease
from workers.aws_clients import open_aws
from workers.settings import Settings


@dataclass(frozen=True, slots=True)
class Overview:
    """A job, its lease, its exports, and its newest plain metrics."""

    job: Job
    lease: JobLease | None
    exports: list[CoreMLExport]
    metrics: dict[str, float]
    epoch: float | None


async def read_job_status(settings: Settings, job: str) -> Overview:
    """Gather a job's state; four queries.

    Raises:
        NotFound: there is no such job.
    """
    async with open_aws(settings) as aws:
        record = await aws.table.find_job(job)
        lease = await aws.table.find_lease(record.job_id, kind="train")
        exports = (await aws.table.get_coreml_export_jobs_for_job(record.job_id)).items
        history = (await aws.table.list_job_metrics(record.job_id)).items
    newest = {metric.metric_name: metric for metric in sorted(history, key=lambda metric: metric.timestamp)}
    metrics = {
        name: float(metric.value) for name, metric in newest.items() if isinstance(metric.value, int | float)
    }
    epochs = [metric.epoch for metric in newest.values() if metric.epoch is not None]
    return Overview(record, lease, exports, metrics, max(epochs, default=None))
