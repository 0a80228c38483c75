"""Submits jobs as the command line does."""

from __future__ import annotations

import uuid
from contextlib import suppress

from pydantic_core import to_json

from messages.codec import decode_export_job, encode
from messages.export import ExportJob
from messages.fields import S3Uri
from messages.train import TrainJob
from receipt_dynamo.entities import Job
from receipt_dynamo.errors import AlreadyExists
from workers.aws_clients import open_aws
from workers.errors import SettingsError
from workers.jobs.job_record import job_record
from workers.jobs.queue_export import queue_export
from workers.runtime.recovery import register
from workers.settings import Settings
from workers.sqs.queue import send


async def submit_training(settings: Settings, job: TrainJob, *, created_by: str = "layoutlm-cli") -> str:
    """Send a train job and make its pending record and its lease; returns the queue's message id.

    The message goes first: the worker that takes it makes what is missing beside it. Should the message be
    lost later, the lease brings it back.
    """
    settings.require("table_name", "bucket", "train_job_queue_url")
    async with open_aws(settings) as aws:
        body = encode(job)
        parent = job.hyperparameters.output_s3_path
        run = (S3Uri.parse(parent) if parent else settings.runs) / f"{job.job_name}/"
        record = job_record(job, run, status="pending", created_by=created_by)
        record.to_item()  # a number that the table cannot hold is refused before anything is sent
        message_id = await send(aws.sqs, str(settings.train_job_queue_url), body, {"kind": "train"})
        with suppress(AlreadyExists):
            await aws.table.add_job(record)
        await register(aws.table, settings, "train", job.job_id, body)
    return message_id


async def submit_export(  # noqa: PLR0913 - each is one field of the request
    settings: Settings,
    job: str,
    *,
    quantize: str | None,
    shapes: str,
    model_s3_uri: str | None,
    prefix: str | None,
) -> ExportJob:
    """Make an export's record and send its message; returns what was sent."""
    settings.require("table_name", "bucket", "export_job_queue_url")
    async with open_aws(settings) as aws:
        training = await aws.table.find_job(job, prefer_succeeded=True)
        body = {
            "job_id": training.job_id,
            "model_s3_uri": model_s3_uri or _best_checkpoint(training),
            "quantize": quantize,
            "shapes": shapes,
            "output_s3_prefix": prefix or settings.bundle_prefix(training.name).uri,
        }
        export = decode_export_job(to_json(body), message_id=str(uuid.uuid4()))
        await queue_export(aws.table, aws.sqs, settings, export)
    return export


def _best_checkpoint(training: Job) -> str:
    best = training.results.get("best_checkpoint_s3_path")
    if not isinstance(best, str):
        raise SettingsError(
            f"Job {training.name} ({training.status}) has no best checkpoint yet. Wait for its end, or pass "
            "--model-s3-uri."
        )
    return best
