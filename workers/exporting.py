"""Queueing an export: its record first, then its message, both under an id that never changes."""

from __future__ import annotations

from typing import Any

from messages.codec import encode
from messages.export import ExportJob
from receipt_dynamo.aio import AsyncDynamoClient
from receipt_dynamo.entities import CoreMLExport
from receipt_dynamo.errors import AlreadyExists
from workers.lease import timestamp
from workers.queue import send


async def queue_export(table: AsyncDynamoClient, sqs: Any, queue_url: str, job: ExportJob) -> None:
    """Make the PENDING record and send the message; again, it sends nothing once the export has begun."""
    try:
        await table.add_coreml_export_job(export_record(job, job.job_id))
    except AlreadyExists:
        record = await table.get_coreml_export_job(job.export_id)
        if record.status != "PENDING":
            return
    # A PENDING record may have lost its message; the export's lease makes a second one harmless.
    await send(sqs, queue_url, encode(job), {"kind": "export"})


def export_record(job: ExportJob, training_job_id: str) -> CoreMLExport:
    """The record of a request: everything that is not known yet is NULL."""
    now = timestamp()
    return CoreMLExport(
        export_id=job.export_id,
        job_id=training_job_id,
        model_s3_uri=job.model_s3_uri,
        quantize=job.quantize,
        output_s3_prefix=job.output_s3_prefix,
        status="PENDING",
        created_at=now,
        updated_at=now,
    )
