"""A table with a long history: as many recorded runs as wanted, a few of them with all that a run leaves."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from messages.hyperparameters import Hyperparameters
from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import write_time
from receipt_dynamo.entities import Job
from receipt_dynamo.entities.field_types import JobState
from receipt_dynamo.operations.records import adding_many
from run_records.s3_store import S3Store
from tests.support.evaluations import LABELS
from tests.support.runs import make_detail, make_predictions
from tests.support.stored_runs import store_run

DETAILED = 5
"""Runs with metrics, `run.json`, checkpoints and predictions."""
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
_STATUSES: tuple[JobState, ...] = (
    ("succeeded",) * 14 + ("failed",) * 3 + ("cancelled", "interrupted", "running")
)
_VALIDATION = ("5f1c0d9ab3e74822", "a01b77c2de934f15", None)
_LABEL_LIST = ["O", *(f"{prefix}-{label}" for label in LABELS for prefix in "BI")]


def seed_runs(client: DynamoClient, storage: S3Store, count: int, epochs: int) -> list[str]:
    """Write `count` runs, an hour apart, and of the newest five everything; returns ids, the newest first."""
    [bucket] = storage.allowed_buckets
    detailed = min(DETAILED, count)
    ids = []
    for number in range(detailed):
        detail = make_detail(
            epochs, seed=number, name=f"detailed-{number}", bucket=bucket, learning_rate=5e-5 / (number + 1)
        )
        store_run(client, storage, detail, make_predictions(detail))
        ids.append(detail.run.job_id)
    dice = Random(count)  # noqa: S311 - dice that have to fall the same again
    jobs = [_job(number, epochs, bucket, dice) for number in range(count - detailed)]
    client.run(adding_many(Job)(client.table_name, jobs))
    return ids + [job.job_id for job in jobs]


def _job(number: int, epochs: int, bucket: str, dice: Random) -> Job:
    job_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"run {number}"))
    name = f"sweep-{number // 20:03d}-run-{number:05d}"
    status = dice.choice(_STATUSES)
    options = Hyperparameters(
        epochs=epochs, learning_rate=dice.choice((1e-5, 3e-5, 5e-5, 1e-4)), seed=number % 5
    )
    prefix = f"runs/{name}/"
    return Job(
        job_id=job_id,
        name=name,
        description="LayoutLM receipt token classification",
        created_at=write_time(NEWEST - timedelta(hours=number)),
        created_by="train-worker",
        status=status,
        priority="medium",
        job_config={"model": "layoutlm-v1", "use_spot": False, **options.model_dump(mode="json")},
        storage={"bucket": bucket, "run_root_prefix": prefix, "best_prefix": f"{prefix}best/"},
        tags={"sweep": f"{number // 20:03d}"},
        results=_results(bucket, prefix, epochs, dice) if status == "succeeded" else {},
        attempt=1,
        error_message="The loss is not a number any more." if status == "failed" else None,
    )


def _results(bucket: str, prefix: str, epochs: int, dice: Random) -> dict[str, Any]:
    f1 = dice.uniform(0.55, 0.93)
    receipts = dice.choice(_VALIDATION)
    return {
        "best_f1": f1,
        "best_f1_interval": {"low": f1 - 0.03, "high": f1 + 0.03},
        "best_f1_constrained": f1 + 0.01,
        "best_epoch": float(dice.randint(1, max(epochs, 1))),
        "epochs_trained": float(epochs),
        "early_stopping_triggered": dice.random() < 0.4,
        "train_runtime": 150.0 * epochs,
        "num_labels": len(_LABEL_LIST),
        "label_list": _LABEL_LIST,
        "best_checkpoint_s3_path": f"s3://{bucket}/{prefix}best/",
        "metrics_comparable": receipts is not None,
        "comparability_reason": "The validation receipts are pinned." if receipts else "A split of its own.",
        "val_receipts_hash": receipts,
    }
