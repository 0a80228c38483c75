"""The Job record and its status history as both kinds of worker write them."""

from __future__ import annotations

from typing import Any

import structlog

from receipt_dynamo.aio import AsyncDynamoClient
from receipt_dynamo.entities import Job, JobStatus
from receipt_dynamo.errors import AlreadyExists, NotFound

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


async def add_status(table: AsyncDynamoClient, note: JobStatus) -> None:
    """Add a line to a job's status history, once."""
    try:
        await table.add_job_status(note)
    except AlreadyExists:
        log.debug("status line is there already", job_id=note.job_id, status=note.status)
