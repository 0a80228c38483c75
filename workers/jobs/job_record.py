"""Builds and updates the Job record and its status history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog

from messages.fields import S3Uri
from messages.train import JobState, TrainJob
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import Job, JobStatus
from receipt_dynamo.errors import AlreadyExists, NotFound
from workers.runtime.holdable_results import UNHOLDABLE

log = structlog.get_logger(__name__)


async def show_job(
    table: AsyncDynamoClient,
    record: Job,
    attempt: int,
    *,
    results: dict[str, Any] | None = None,
    error_message: str | None = None,
) -> None:
    """Bring the Job record to the record's status, making it where a message came before any record.

    Raises:
        ConditionFailed: a later attempt has written already.
    """
    attributes: dict[str, Any] = {"storage": record.storage}
    if error_message is not None:
        attributes["error_message"] = error_message

    async def update() -> None:
        await table.update_job_status(
            record.job_id, record.status, attempt=attempt, attributes=attributes, results=results or None
        )

    try:
        await update()
    except NotFound:
        try:
            await table.add_job(record)
        except AlreadyExists:
            log.info("the record was made meanwhile", job_id=record.job_id)
        await update()


async def show_ended_job(
    table: AsyncDynamoClient,
    record: Job,
    attempt: int,
    *,
    results: dict[str, Any],
    error_message: str | None,
) -> None:
    """Bring the Job record to its end; what the table cannot hold of request and results is left out.

    Raises:
        ConditionFailed: a later attempt has written already.
    """
    try:
        await show_job(table, record, attempt, results=results, error_message=error_message)
    except UNHOLDABLE as error:
        log.error("the table cannot hold all of the record", job_id=record.job_id, error=str(error))  # noqa: TRY400
        bare = replace(record, job_config={"not_recorded": str(error)}, tags={})
        why = error_message or f"The table cannot hold all of this record: {error}"
        await show_job(table, bare, attempt, error_message=why)


async def add_status(table: AsyncDynamoClient, note: JobStatus) -> None:
    """Add a line to a job's status history, once."""
    try:
        await table.add_job_status(note)
    except AlreadyExists:
        log.debug("status line is there already", job_id=note.job_id, status=note.status)


def job_record(job: TrainJob, run: S3Uri, *, status: JobState, created_by: str = "train-worker") -> Job:
    """The Job record of a request: configuration and storage, as people and dashboards read it."""
    prefix = run.key
    return Job(
        job_id=job.job_id,
        name=job.job_name,
        description="LayoutLM receipt token classification",
        created_at=now(),
        created_by=created_by,
        status=status,
        priority=job.priority,
        job_config={
            "model": "layoutlm-v1",
            "use_spot": job.use_spot,
            "auto_export": job.auto_export,
            "quantize": job.quantize,
            "timeout": job.timeout,
            **job.hyperparameters.model_dump(mode="json"),
        },
        storage={
            "bucket": run.bucket,
            "run_root_prefix": prefix,
            "checkpoints_prefix": f"{prefix}checkpoints/",
            "best_prefix": f"{prefix}best/",
            "logs_prefix": f"{prefix}logs/",
            "config_prefix": f"{prefix}config/",
            "publish_model_prefix": f"coreml/{job.job_name}/",
        },
        tags=dict(job.tags),
    )
