"""Views of the records beside a job: statuses, failures, checkpoints, exports, logs, metrics by epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Self

from receipt_dynamo.entities import CoreMLExport, JobCheckpoint, JobLog, JobMetric, JobStatus
from run_records.epoch_record import EpochFacts, read_epochs
from run_records.lenient_model import LenientModel
from run_records.scores import confusion_of


class StatusFacts(LenientModel):
    """One change of a run's status: what happened when, on which worker, in which attempt."""

    at: str
    status: str
    attempt: int | None = None
    worker: str | None = None
    message: str | None = None

    @classmethod
    def of(cls, record: JobStatus) -> Self:
        """Read its record."""
        return cls(
            at=record.updated_at,
            status=record.status,
            attempt=record.attempt,
            worker=record.updated_by,
            message=record.message,
        )


class FailureFacts(LenientModel):
    """One attempt that failed."""

    attempt: int
    at: str
    error_class: str
    message: str
    worker: str | None = None


class CheckpointFacts(LenientModel):
    """A checkpoint in S3; one of a run is the best."""

    at: str
    step: int
    epoch: float
    s3_uri: str
    size_bytes: int
    is_best: bool = False
    attempt: int | None = None

    @classmethod
    def of(cls, record: JobCheckpoint) -> Self:
        """Read its record."""
        return cls(
            at=record.timestamp,
            step=record.step,
            epoch=record.epoch,
            s3_uri=f"s3://{record.s3_bucket}/{record.s3_key}",
            size_bytes=record.size_bytes,
            is_best=record.is_best,
            attempt=record.attempt,
        )


class ExportFacts(LenientModel):
    """A CoreML export of the run."""

    export_id: str
    status: str
    quantize: str | None = None
    bundle_s3_uri: str | None = None
    model_size_bytes: int | None = None
    error_message: str | None = None
    created_at: str

    @classmethod
    def of(cls, record: CoreMLExport) -> Self:
        """Read its record."""
        return cls(
            export_id=record.export_id,
            status=record.status,
            quantize=record.quantize,
            bundle_s3_uri=record.bundle_s3_uri,
            model_size_bytes=record.model_size_bytes,
            error_message=record.error_message,
            created_at=record.created_at,
        )


class LogFacts(LenientModel):
    """One line of the run's log."""

    at: str
    level: str
    message: str

    @classmethod
    def of(cls, record: JobLog) -> Self:
        """Read its record."""
        return cls(at=record.timestamp, level=record.log_level, message=record.message)


# Metric of the table to field of an epoch's record; others have the same name in both.
_FIELDS = {
    "val_f1": "eval_f1",
    "val_precision": "eval_precision",
    "val_recall": "eval_recall",
    "val_f1_constrained": "eval_f1_constrained",
    "val_f1_strict": "eval_f1_strict",
}
_LABEL = "label_"
_CONFUSION = "confusion_matrix"


def epochs_of_metrics(metrics: Iterable[JobMetric]) -> tuple[EpochFacts, ...]:
    """Put the table's metrics of one run together: those of one epoch and step are one evaluation.

    Of several with one name, as an attempt leaves that was repeated, the newest counts. What is counted once
    for the run, without a step, is no evaluation. The table has whole epochs only, so evaluations within an
    epoch share its number.
    """
    rows: dict[tuple[int, int], dict[str, Any]] = defaultdict(lambda: {"per_label_metrics": {}})
    for metric in sorted(metrics, key=lambda one: one.timestamp):
        if not metric.epoch and not metric.step:
            continue
        row = rows[metric.epoch or 0, metric.step or 0]
        row |= {"recorded_at": metric.timestamp, "attempt": metric.attempt}
        name, value = metric.metric_name, metric.value
        if name.startswith(_LABEL) and isinstance(value, dict):
            row["per_label_metrics"][name.removeprefix(_LABEL)] = value
        elif name == _CONFUSION:
            row["confusion"] = confusion_of(value) if isinstance(value, dict) else {}
        elif not isinstance(value, dict):
            row[_FIELDS.get(name, name)] = value
    return read_epochs({"epoch": epoch, "global_step": step, **row} for (epoch, step), row in rows.items())
