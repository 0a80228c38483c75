"""Records of jobs as workers write them, for tests of what reads them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from messages.train import TrainJob
from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import Job, JobMetric
from run_records.s3_store import S3Store
from workers.jobs.job_record import job_record
from workers.local_aws.local_stack import LocalStack
from workers.settings import Settings

MakeJob = Callable[..., Job]


def minute(number: float) -> str:
    whole, part = divmod(number, 1)
    return f"2026-02-03T{int(whole) // 60:02d}:{int(whole) % 60:02d}:{part * 60:09.6f}+00:00"


def job_maker(client: DynamoClient, stack: LocalStack) -> MakeJob:
    """Writes the record of a job as the worker does, changed as asked."""
    settings = Settings.from_environ(stack.environ)

    def make(name: str, status: Any = "succeeded", at: float = 0, **results: Any) -> Job:
        options = results.pop("options", {})
        request = TrainJob.model_validate(
            {
                "job_id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
                "job_name": name,
                "hyperparameters": options,
            }
        )
        shown = job_record(request, settings.runs / f"{name}/", status=status)
        job = replace(shown, created_at=minute(at), results=results, attempt=1)
        client.add_job(job)
        return job

    return make


def write_run_json(storage: S3Store, job: Job, epochs: Iterable[dict[str, Any]], **fields: Any) -> None:
    body = {"job_name": job.name, "epoch_metrics": list(epochs), **fields}
    place = f"s3://{job.storage['bucket']}/{job.storage['run_root_prefix']}run.json"
    storage.write(place, json.dumps(body).encode())


def metrics(job: Job, epoch: float, at: float, attempt: int = 1, **values: Any) -> list[JobMetric]:
    return [
        JobMetric(
            job_id=job.job_id,
            metric_name=name,
            timestamp=minute(at),
            value=value,
            step=round(epoch * 10),
            epoch=int(epoch),
            attempt=attempt,
        )
        for name, value in values.items()
    ]
