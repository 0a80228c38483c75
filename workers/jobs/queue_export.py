"""Queues an export: record, message, lease."""

from __future__ import annotations

from typing import Any

import structlog

from messages.codec import encode
from messages.export import ExportJob
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import CoreMLExport
from receipt_dynamo.errors import AlreadyExists, InvalidItem
from workers.runtime.recovery import register
from workers.settings import Settings
from workers.sqs.queue import send

log = structlog.get_logger(__name__)


async def queue_export(table: AsyncDynamoClient, sqs: Any, settings: Settings, job: ExportJob) -> None:
    """Make the PENDING record and send the message; again, it sends nothing once the export has begun."""
    try:
        await table.add_coreml_export_job(export_record(job, job.job_id))
    except AlreadyExists:
        try:
            record = await table.get_coreml_export_job(job.export_id)
        except InvalidItem as error:
            log.warning("the export's record cannot be read: queued all the same", error=str(error))
        else:
            if record.status != "PENDING":
                return
    # A PENDING record may have lost its message; the export's lease makes a second one harmless.
    body = encode(job)
    await send(sqs, str(settings.export_job_queue_url), body, {"kind": "export"})
    await register(table, settings, "export", job.export_id, body)


def export_record(job: ExportJob, training_job_id: str) -> CoreMLExport:
    """The record of a request: everything that is not known yet is NULL."""
    moment = now()
    return CoreMLExport(
        export_id=job.export_id,
        job_id=training_job_id,
        model_s3_uri=job.model_s3_uri,
        quantize=job.quantize,
        shapes=str(job.shapes),
        output_s3_prefix=job.output_s3_prefix,
        status="PENDING",
        created_at=moment,
        updated_at=moment,
    )
