"""The export job."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any, ClassVar, Literal

import structlog

from messages.child_protocol import ErrorClass, Exported, ExportTask
from messages.codec import decode_export_job, encode
from messages.errors import InvalidMessage
from messages.export import ExportJob, ExportResult
from messages.export_options import RANGE
from messages.fields import derive_id
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import CoreMLExport, Job, JobLease
from receipt_dynamo.errors import AlreadyExists, InvalidItem, NotFound
from workers.destinations import check_bundle_place
from workers.jobs.queue_export import export_record
from workers.runtime.holdable_results import UNHOLDABLE
from workers.runtime.outcome import AttemptResult, Ending, Refused
from workers.settings import Settings
from workers.sqs.queue import Received, send

_ALWAYS_HELD = ("status", "completed_at", "error_message")
"""Fields of an export's result that the table can always hold."""

log = structlog.get_logger(__name__)


class ExportHandler:
    """Exports, as `workers.runtime.job_handler.JobHandler` describes them."""

    name: ClassVar[Literal["export"]] = "export"
    module: ClassVar[str] = "receipt_layoutlm.coreml"

    def __init__(self, settings: Settings, table: AsyncDynamoClient, sqs: Any) -> None:
        settings.require("bucket", "table_name", "export_results_queue_url")
        self._settings = settings
        self._table = table
        self._sqs = sqs

    def decode(self, message: Received) -> ExportJob:
        """Parse the message."""
        return decode_export_job(
            message.body, message_id=message.message_id, kind=message.attributes.get("kind")
        )

    def owner_id(self, job: ExportJob) -> str:
        """The export's id."""
        return job.export_id

    def timeout_seconds(self, job: ExportJob) -> float | None:
        """An export has no limit of its own."""
        _ = job
        return None

    async def begin(
        self, job: ExportJob, attempt: int, work_dir: str, message_id: str | None = None
    ) -> ExportTask:
        """Find the training that the export belongs to and show the record as RUNNING."""
        _ = message_id  # an export's record has no history to note it in
        training = await self._training_of(job)
        await check_bundle_place(self._table, self._settings, job, training)
        await self._show(export_record(job, training.job_id), attempt, status="RUNNING")
        return ExportTask(
            job=job,
            attempt=attempt,
            training_job_id=training.job_id,
            training_job_name=training.name,
            training_created_at=training.created_at,
            training_f1=_best_f1(training),
            canonical_bundle_s3_uri=self._settings.canonical_bundle.uri,
            canonical_rule=self._settings.canonical_rule,
            allowed_buckets=self._settings.allowed_buckets,
            table_name=self._settings.table_name,
            work_dir=work_dir,
            cache_dir=str(self._settings.cache_dir),
            cache_bytes=self._settings.cache_bytes,
        )

    async def interrupted(
        self, job: ExportJob, attempt: int, why: str, message_id: str | None = None
    ) -> None:
        """An export that waits for another host is PENDING again."""
        _ = why, message_id  # an export's record has no history to note them in
        with suppress(NotFound):  # ended before the record was made
            await self._update(job.export_id, attempt, status="PENDING")

    async def note_failure(self, job: ExportJob, attempt: int, why: str, at: str) -> None:
        """An export has no log; its lease keeps the failures."""

    def decide(self, job: ExportJob, attempt: int, verdict: AttemptResult) -> dict[str, Any]:
        """The request and the result's body."""
        exported = verdict.report if isinstance(verdict.report, Exported) else None
        result = ExportResult.model_validate(
            {
                "result_id": derive_id("export-result", job.export_id),
                "export_id": job.export_id,
                "job_id": job.job_id,
                "status": "SUCCEEDED" if verdict.ending is Ending.DONE else "FAILED",
                "attempt": attempt,
                "export_duration_seconds": round(verdict.seconds, 3),
                "error_class": verdict.error_class,
                "error_message": verdict.message,
                **(exported.model_dump(exclude={"type"}) if exported else {}),
            }
        )
        return {"result": encode(result)}

    async def complete(self, record: JobLease, message_id: str | None = None) -> None:
        """Export record, the training's results, result; each is safe to repeat."""
        _ = message_id  # an export's record has no history to note it in
        decision = record.decision or {}
        result = ExportResult.model_validate_json(decision["result"])
        if record.state == "decided":
            job = ExportJob.model_validate_json(record.body or "")
            await self._record(job, result, record)
        await self._send(result)

    async def _record(self, job: ExportJob, result: ExportResult, record: JobLease) -> None:
        try:
            training = await self._training_of(job)
        except Refused as refused:
            # None is made then: its job_id would name nothing. The result carries the reason.
            log.warning("the training of the export is not known", reason=str(refused))
            with suppress(NotFound):
                await self._update(job.export_id, record.attempt, **_changes(result, record))
            return
        request, changes = export_record(job, training.job_id), _changes(result, record)
        try:
            await self._show(request, record.attempt, **changes)
            # What other shapes take is nothing that a reader of the training's results expects.
            if result.status == "SUCCEEDED" and job.shapes == RANGE:
                shown = result.of_training(str(record.decided_at))
                await self._table.merge_job_results(training.job_id, shown)
        except UNHOLDABLE as error:
            log.error("the table cannot hold all of the record", error=str(error))  # noqa: TRY400
            await self._show(request, record.attempt, **{name: changes[name] for name in _ALWAYS_HELD})

    async def send_unreadable(self, error: InvalidMessage, message: Received) -> bool:
        """A FAILED result for the id that the body names."""
        if error.job_id is None:
            return False
        await self._send(
            ExportResult(
                result_id=derive_id("unreadable", message.message_id),
                export_id=error.job_id,
                status="FAILED",
                attempt=0,
                error_class=ErrorClass.MESSAGE,
                error_message=str(error),
            )
        )
        return True

    async def _show(self, record: CoreMLExport, attempt: int, **changes: Any) -> None:
        """Bring the record up to the changes, making it where a message came before any record."""
        try:
            await self._update(record.export_id, attempt, **changes)
        except NotFound:
            with suppress(AlreadyExists):
                await self._table.add_coreml_export_job(record)
            await self._update(record.export_id, attempt, **changes)

    async def _update(self, export_id: str, attempt: int, **changes: Any) -> None:
        status = changes.pop("status")
        attributes = {"updated_at": now(), **changes}
        await self._table.update_coreml_export_status(
            export_id, status, attempt=attempt, attributes=attributes
        )

    async def _training_of(self, job: ExportJob) -> Job:
        """Find the training by id or, as older senders write it, by name."""
        try:
            return await self._table.find_job(job.job_id, prefer_succeeded=True)
        except NotFound as error:
            raise Refused(ErrorClass.CONFIGURATION, f"{error} Mend job_id and send again.") from error
        except InvalidItem as error:  # at each delivery the same
            raise Refused(
                ErrorClass.DATA, f"{error}. Correct the training's record and send again."
            ) from error

    async def _send(self, result: ExportResult) -> None:
        attributes = {
            "kind": "export-result",
            "result_id": result.result_id,
            "attempt": str(result.attempt),
        }
        await send(self._sqs, str(self._settings.export_results_queue_url), encode(result), attributes)


def _changes(result: ExportResult, record: JobLease) -> dict[str, Any]:
    return {
        "status": result.status,
        "completed_at": record.decided_at,
        "mlpackage_s3_uri": result.mlpackage_s3_uri,
        "bundle_s3_uri": result.bundle_s3_uri,
        "model_size_bytes": result.model_size_bytes,
        "export_duration_seconds": result.export_duration_seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "stage_seconds": result.stage_seconds or {},
        "error_message": result.error_message,
    }


def _best_f1(training: Job) -> float | None:
    """Best F1 of the training, where recorded; a failed job may have a checkpoint and no score."""
    f1 = training.results.get("best_f1")
    return float(f1) if isinstance(f1, int | float | Decimal) else None
