"""Queues the CoreML export of a training that SageMaker has completed, as a train worker does by itself."""
# ruff: noqa: INP001 - a Lambda's zip holds this file at its top, in no package

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from pydantic_core import to_json

from messages.codec import decode_export_job
from messages.export import ExportJob
from messages.train import SKIP_EXPORT_TAG, TrainJob
from receipt_dynamo.entities import Job
from receipt_dynamo.errors import NotFound
from receipt_dynamo.session import new_session
from workers.aws_clients import open_aws
from workers.jobs.queue_export import queue_export
from workers.settings import Settings
from workers.telemetry.logs import configure_logging

DETAIL_TYPE = "SageMaker Training Job State Change"
NAME_PREFIX = "layoutlm-"

log = structlog.get_logger(__name__)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, str | None]:
    """Queue the export that follows a completed training; an event twice makes one export.

    Args:
        event: EventBridge's, of a training job whose state has changed.
        context: Lambda's; not used.

    Returns:
        `export_id` of what was queued now or before, or None and `skipped`, the reason.

    Raises:
        DynamoError, QueueError, ClientError: AWS cannot do it now; EventBridge sends the event again.
        WorkerError: a variable of this Lambda is missing or wrong.
    """
    _ = context
    configure_logging()
    settings = Settings.from_environ()
    settings.require("table_name", "bucket", "export_job_queue_url")
    detail = event.get("detail", {})
    name = str(detail.get("TrainingJobName"))
    skipped = _not_for_us(event.get("detail-type"), name, detail.get("TrainingJobStatus"))
    export_id = None
    if skipped is None:
        export_id, skipped = asyncio.run(_follow(settings, name, str(detail.get("TrainingJobArn"))))
    log.info("export queued" if export_id else "no export", training=name, export_id=export_id, why=skipped)
    return {"export_id": export_id, "skipped": skipped}


def _not_for_us(detail_type: object, name: str, status: object) -> str | None:
    if detail_type != DETAIL_TYPE:
        return f"the event is no {DETAIL_TYPE}"
    if not name.startswith(NAME_PREFIX):
        return f"the name does not begin with {NAME_PREFIX}"
    return None if status == "Completed" else f"the training is {status}"


async def _follow(settings: Settings, name: str, arn: str) -> tuple[str | None, str | None]:
    """Queue the export of the run of that name; returns its id, or None and why there is none."""
    async with open_aws(settings) as aws:
        try:
            found = await aws.table.find_job(name, prefer_succeeded=True)
        except NotFound:
            return None, "the table has no job of this name"
        # An index has answered, which may be a moment behind the table.
        training = await aws.table.get_job(found.job_id)
        export = export_of(training, settings)
        if export is None:
            return None, f"the job is {training.status} and has no best checkpoint to export"
        if _is_unwanted(training, await asyncio.to_thread(_tags_of, settings, arn)):
            return None, "the job asks for no export"
        lease = await aws.table.get_lease(export.export_id, kind="export")
        # The lease is made after record and message, and brings a lost message back.
        if lease is None or lease.body is None:
            await queue_export(aws.table, aws.sqs, settings, export)
        return export.export_id, None


def export_of(training: Job, settings: Settings) -> ExportJob | None:
    """The export of a succeeded training's best checkpoint, under the id that a train worker gives it."""
    best = training.results.get("best_checkpoint_s3_path")
    if training.status != "succeeded" or not best:
        return None
    quantize = training.job_config.get("quantize", "float16")
    request = TrainJob.model_validate(
        {"job_id": training.job_id, "job_name": training.name, "quantize": quantize}
    )
    body = {
        "export_id": request.export_id,
        "job_id": training.job_id,
        "model_s3_uri": best,
        "quantize": quantize,
        "output_s3_prefix": settings.bundle_prefix(training.name).uri,
    }
    return decode_export_job(to_json(body), message_id=request.export_id)


def _is_unwanted(training: Job, tags: Mapping[str, str]) -> bool:
    says_skip = (tags.get(SKIP_EXPORT_TAG), training.tags.get(SKIP_EXPORT_TAG))
    return training.job_config.get("auto_export") is False or any(
        str(one).lower() == "true" for one in says_skip
    )


def _tags_of(settings: Settings, arn: str) -> dict[str, str]:
    session: Any = new_session()
    client = session.client("sagemaker", region_name=settings.region, endpoint_url=settings.endpoint_url)
    pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
    return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
