"""What lies beside a job in the table: statuses, failed attempts, checkpoints, exports, lines of its log."""

from __future__ import annotations

from typing import Self

from receipt_dynamo.entities import CoreMLExport, JobCheckpoint, JobLog, JobStatus
from run_records.lenient_model import Fact


class StatusFacts(Fact):
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


class FailureFacts(Fact):
    """One attempt that failed."""

    attempt: int
    at: str
    error_class: str
    message: str
    worker: str | None = None


class CheckpointFacts(Fact):
    """A checkpoint in S3; `is_best` is what it was when it was written."""

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


class ExportFacts(Fact):
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


class LogFacts(Fact):
    """One line of the run's log."""

    at: str
    level: str
    message: str

    @classmethod
    def of(cls, record: JobLog) -> Self:
        """Read its record."""
        return cls(at=record.timestamp, level=record.log_level, message=record.message)
