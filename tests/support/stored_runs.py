"""Writes made-up runs to the emulated AWS, for what reads them from there."""

from __future__ import annotations

import json
from typing import Any

from messages.fields import S3Uri
from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import CoreMLExport, Job, JobCheckpoint, JobStatus
from run_analysis.run import RunDetail
from run_records.predictions_json import PREDICTIONS_JSON, PredictionsFile
from run_records.s3_store import S3Store


def store_run(
    client: DynamoClient, storage: S3Store, detail: RunDetail, predictions: PredictionsFile | None = None
) -> None:
    """Write a run's records to the table and its files to S3; its lease, which fails attempts, has none."""
    run, place = detail.run, S3Uri.parse(detail.run.run_s3_uri or "")
    known = run.model_dump(exclude_none=True, exclude={"config", "tags", "name", "status", "job_id"})
    client.add_job(
        Job(
            job_id=run.job_id,
            name=run.name,
            description="",
            created_at=run.created_at,
            created_by="a test",
            status=run.status,
            priority="medium",
            job_config=run.config,
            storage={"bucket": place.bucket, "run_root_prefix": place.key},
            results={name: value for name, value in known.items() if value != {}},
            attempt=detail.attempts,
        )
    )
    for status in detail.statuses:
        facts = status.model_dump(exclude={"at", "worker"})
        client.add_job_status(
            JobStatus(job_id=run.job_id, updated_at=status.at, updated_by=status.worker, **facts)
        )
    for checkpoint in detail.checkpoints:
        at = S3Uri.parse(checkpoint.s3_uri)
        facts = checkpoint.model_dump(exclude={"at", "s3_uri"})
        client.add_job_checkpoint(
            JobCheckpoint(
                job_id=run.job_id, timestamp=checkpoint.at, s3_bucket=at.bucket, s3_key=at.key, **facts
            )
        )
    for export in detail.exports:
        client.add_coreml_export_job(
            CoreMLExport(
                job_id=run.job_id, model_s3_uri=run.best_checkpoint_s3_path or "", **export.model_dump()
            )
        )
    storage.write(f"{place.uri}run.json", json.dumps(_run_json(detail)).encode())
    if predictions is not None:
        storage.write(f"{place.uri}{PREDICTIONS_JSON}", predictions.model_dump_json().encode())


def _run_json(detail: RunDetail) -> dict[str, Any]:
    run = detail.run
    return {
        "job_name": run.name,
        "training_config": detail.config,
        "data_config": detail.data_config,
        "label_list": list(run.label_list),
        "resulting_labels": list(detail.labels),
        "label_merges": detail.label_merges,
        "dataset_counts": detail.dataset_counts,
        "split_metadata": {
            "val_receipt_keys": [f"{number:05d}" for number in range(detail.num_val_receipts or 0)],
            "val_receipts_hash": run.val_receipts_hash,
        },
        "epoch_metrics": [one.model_dump(exclude_none=True) for one in detail.epochs],
    }
