"""The lines that a daemon leaves in a training's log: why an attempt failed, and how the job ended.

The child writes the others, and the last one of a training that succeeded (`training.recorder`).
"""

from __future__ import annotations

import json
from datetime import timedelta

import structlog

from messages.train import TrainResult
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import read_time, write_time
from receipt_dynamo.entities import JobLog
from receipt_dynamo.errors import AlreadyExists

SOURCE = "workers.training"
_INSTANT = timedelta(microseconds=1)  # what keeps two lines of one moment apart

log = structlog.get_logger(__name__)


async def add_failure(table: AsyncDynamoClient, job_id: str, attempt: int, why: str, at: str) -> None:
    """Leave the reason of a failed attempt; the same moment `at` gives the same line, once."""
    await _add(table, _line(job_id, attempt, why, at, level="ERROR"))


async def add_unsuccessful_end(table: AsyncDynamoClient, result: TrainResult, attempt: int, at: str) -> None:
    """Leave the reason of a failed job, and the summary of one that ended without a model; repeated, once."""
    why = result.error_message or result.status
    if result.status == "failed":
        await add_failure(table, result.job_id, attempt, why, at)
    later = write_time(read_time(at) + _INSTANT)
    await _add(table, _line(result.job_id, attempt, json.dumps(_summary(result)), later))


def _summary(result: TrainResult) -> dict[str, object]:
    """The fields of a successful training's summary; the evaluations that there were are in `run.json`."""
    return {
        "type": "run_summary",
        "status": result.status,
        "error_class": result.error_class,
        "error_message": result.error_message,
        "best_epoch": None,
        "best_f1": None,
        "early_stopping_triggered": False,
        "epochs_since_best": None,
        "epoch_metrics": [],
        "epoch_metrics_s3": f"{result.run_s3_uri}run.json",
    }


def _line(job_id: str, attempt: int, message: str, at: str, level: str = "INFO") -> JobLog:
    return JobLog(
        job_id=job_id, timestamp=at, log_level=level, message=message, source=SOURCE, attempt=attempt
    )


async def _add(table: AsyncDynamoClient, line: JobLog) -> None:
    try:
        await table.add_job_log(line)
    except AlreadyExists:
        log.debug("log line is there already", job_id=line.job_id)
