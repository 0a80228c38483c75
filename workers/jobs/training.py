"""The train job."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar, Literal

import structlog

from messages.child_protocol import ErrorClass, Trained, TrainTask
from messages.codec import decode_train_job, encode
from messages.errors import InvalidMessage
from messages.export import ExportJob
from messages.fields import S3Uri, derive_id
from messages.train import JobState, TrainJob, TrainResult
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobLease, JobStatus, RunName
from receipt_dynamo.errors import InvalidItem, NotFound
from workers.destinations import check_run_place
from workers.jobs.job_log import add_failure, add_unsuccessful_end
from workers.jobs.job_record import add_status, job_record, show_ended_job, show_job
from workers.jobs.queue_export import queue_export
from workers.runtime.outcome import AttemptResult, Refused, outcome_of
from workers.settings import Settings
from workers.sqs.queue import Received, send

log = structlog.get_logger(__name__)

UNSUCCESSFUL = {"failed", "cancelled"}
"""Such a job needs its name no more. One of any other status, or of none that can be read, keeps it."""


class TrainingHandler:
    """Trainings, as `workers.runtime.job_handler.JobHandler` describes them."""

    name: ClassVar[Literal["train"]] = "train"
    module: ClassVar[str] = "receipt_layoutlm.training"

    def __init__(self, settings: Settings, table: AsyncDynamoClient, sqs: Any, worker: str) -> None:
        settings.require("bucket", "table_name")
        self._settings = settings
        self._table = table
        self._sqs = sqs
        self._worker = worker

    def decode(self, message: Received) -> TrainJob:
        """Parse the message."""
        return decode_train_job(
            message.body, message_id=message.message_id, kind=message.attributes.get("kind")
        )

    def owner_id(self, job: TrainJob) -> str:
        """The job's id."""
        return job.job_id

    def timeout_seconds(self, job: TrainJob) -> float | None:
        """The job's own timeout."""
        return job.timeout

    def run_place(self, job: TrainJob) -> S3Uri:
        """The run's folder."""
        parent = job.hyperparameters.output_s3_path
        return (S3Uri.parse(parent) if parent else self._settings.runs) / f"{job.job_name}/"

    async def begin(
        self, job: TrainJob, attempt: int, work_dir: str, message_id: str | None = None
    ) -> TrainTask:
        """Make or update the Job record: running, with where things will lie."""
        await self._take_name(job)
        run = self.run_place(job)
        await check_run_place(self._table, self._settings, job, run)
        record = job_record(job, run, status="running")
        await show_job(self._table, record, attempt)
        await self._note(job.job_id, "running", attempt, f"attempt {attempt}", message_id)
        return TrainTask(
            job=job,
            attempt=attempt,
            table_name=str(self._settings.table_name),
            run_s3_uri=run.uri,
            allowed_buckets=self._settings.allowed_buckets,
            work_dir=work_dir,
            usd_per_hour=self._settings.usd_per_hour,
            checkpoint_tag=self._settings.checkpoint_tag,
        )

    async def interrupted(self, job: TrainJob, attempt: int, why: str, message_id: str | None = None) -> None:
        """Show that the job waits for another host."""
        with suppress(NotFound):  # ended before the record was made: nothing to show yet
            await self._table.update_job_status(job.job_id, "interrupted", attempt=attempt)
            await self._note(job.job_id, "interrupted", attempt, why, message_id)

    async def note_failure(self, job: TrainJob, attempt: int, why: str, at: str) -> None:
        """Leave the reason in the job's log."""
        await add_failure(self._table, job.job_id, attempt, why, at)

    def decide(self, job: TrainJob, attempt: int, verdict: AttemptResult) -> dict[str, Any]:
        """The result's body, the Job's new attributes and, after a success, the export to queue."""
        trained = verdict.report if isinstance(verdict.report, Trained) else None
        status = outcome_of(verdict.ending)
        export = self._export_of(job, trained) if trained and job.wants_export else None
        result = TrainResult.model_validate(
            {
                "result_id": derive_id("train-result", job.job_id),
                "job_id": job.job_id,
                "job_name": job.job_name,
                "status": status,
                "attempt": attempt,
                "run_s3_uri": self.run_place(job).uri,
                "best_checkpoint_s3_uri": trained.best_checkpoint_s3_uri if trained else None,
                "export_id": export.export_id if export else None,
                "error_class": verdict.error_class,
                "error_message": verdict.message,
                **{
                    name: trained.results.get(name)
                    for name in ("best_f1", "best_epoch", "train_runtime")
                    if trained
                },
            }
        )
        return {
            "results": trained.results if trained else {},
            "result": encode(result),
            "export": encode(export) if export else None,
        }

    async def complete(self, record: JobLease, message_id: str | None = None) -> None:
        """Job record, export, result, in this order; each is safe to repeat."""
        decision = record.decision or {}
        result = TrainResult.model_validate_json(decision["result"])
        if record.state == "decided":
            job = TrainJob.model_validate_json(record.body or "")
            shown = job_record(job, self.run_place(job), status=result.status)
            why = result.error_message
            results = decision["results"]
            await show_ended_job(self._table, shown, record.attempt, results=results, error_message=why)
            note = JobStatus(
                job_id=job.job_id,
                status=result.status,
                updated_at=record.decided_at or now(),
                message=why or result.status,
                updated_by=self._worker,
                attempt=record.attempt,
                message_id=message_id,
            )
            await add_status(self._table, note)
            if result.status != "succeeded":
                await add_unsuccessful_end(self._table, result, record.attempt, note.updated_at)
            if decision["export"]:
                await self._queue_export(ExportJob.model_validate_json(decision["export"]))
        await self._send(result)

    async def send_unreadable(self, error: InvalidMessage, message: Received) -> bool:
        """A failed result for the id that the body names."""
        if error.job_id is None:
            return False
        await self._send(
            TrainResult(
                result_id=derive_id("unreadable", message.message_id),
                job_id=error.job_id,
                status="failed",
                attempt=0,
                error_class=ErrorClass.MESSAGE,
                error_message=str(error),
            )
        )
        return True

    async def _note(
        self, job_id: str, status: JobState, attempt: int, message: str, message_id: str | None
    ) -> None:
        note = JobStatus(
            job_id=job_id,
            status=status,
            updated_at=now(),
            message=message,
            updated_by=self._worker,
            attempt=attempt,
            message_id=message_id,
        )
        await add_status(self._table, note)

    async def _send(self, result: TrainResult) -> None:
        if self._settings.train_results_queue_url is None:  # by hand only; a daemon does not start without
            return
        attributes = {
            "kind": "train-result",
            "result_id": result.result_id,
            "attempt": str(result.attempt),
        }
        await send(self._sqs, self._settings.train_results_queue_url, encode(result), attributes)

    async def _queue_export(self, export: ExportJob) -> None:
        if self._settings.export_job_queue_url is None:
            log.warning("no export queued: COREML_EXPORT_JOB_QUEUE_URL is not set")
            return
        await queue_export(self._table, self._sqs, self._settings, export)

    async def _take_name(self, job: TrainJob) -> None:
        """Claim the run name for this job by one conditional write, which decides between concurrent claims.

        Raises:
            Refused: another live or succeeded job has it, or nobody can tell who has.
        """
        wanted = RunName(name=job.job_name, job_id=job.job_id, claimed_at=now())
        try:
            owner = await self._table.claim_run_name(wanted)
            if owner.job_id != job.job_id:
                if await self._needs_name(owner.job_id):
                    raise _name_taken(job, owner.job_id)
                owner = await self._table.claim_run_name(wanted, former=owner.job_id)
        except InvalidItem as error:
            raise _name_unclear(job, error) from error
        if owner.job_id != job.job_id:
            raise _name_taken(job, owner.job_id)
        # Jobs of other software have a name without owning it.
        for other in (await self._table.list_name_holders(job.job_name)).items:
            if other.job_id != job.job_id and other.status not in UNSUCCESSFUL:
                raise _name_taken(job, other.job_id)

    async def _needs_name(self, job_id: str) -> bool:
        try:
            return await self._table.get_job_status(job_id) not in UNSUCCESSFUL
        except NotFound:  # it has just taken the name and is about to make its record
            return True

    def _export_of(self, job: TrainJob, trained: Trained) -> ExportJob:
        return ExportJob(
            export_id=job.export_id,
            job_id=job.job_id,
            model_s3_uri=trained.best_checkpoint_s3_uri,
            quantize=job.quantize,
            output_s3_prefix=self._settings.bundle_prefix(job.job_name).uri,
        )


def _name_taken(job: TrainJob, owner_id: str) -> Refused:
    return Refused(
        ErrorClass.NAME_IN_USE,
        f"The name {job.job_name} belongs to job {owner_id}, with the run's folder. Send the job again under "
        "another name.",
    )


def _name_unclear(job: TrainJob, error: InvalidItem) -> Refused:
    return Refused(
        ErrorClass.NAME_IN_USE,
        f"Whose the name {job.job_name} is cannot be read: {error}. Correct or delete that item, or send the "
        "job again under another name.",
    )
