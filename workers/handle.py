"""One message from its receipt to its end: decode, claim, work, finish. The daemon's story is told here."""

from __future__ import annotations

import random
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic

import structlog
from structlog.contextvars import bound_contextvars

from messages.child import ErrorClass
from messages.codec import encode
from messages.errors import InvalidMessage
from receipt_dynamo.aio import AsyncDynamoClient
from receipt_dynamo.entities import JobLease
from receipt_dynamo.entities.fields import LeaseFailure
from receipt_dynamo.errors import ConditionFailed, DynamoError, LeaseRefused
from receipt_dynamo.times import read_time
from workers.child import ChildSpec
from workers.errors import QueueError
from workers.kind import JobT, Kind
from workers.lease import Lease, timestamp
from workers.outcome import OUTCOMES, Ending, MessageFate, outcome_of
from workers.queue import JobQueue, Received
from workers.settings import Settings
from workers.stop import Stop
from workers.supervise import supervise
from workers.verdict import Refused, Verdict

FAILURE_CHARS = 2000
"""The lease keeps the reason of each failed attempt; many long ones would outgrow an item."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Handler(Generic[JobT]):
    """Takes messages of one kind to their end."""

    kind: Kind[JobT]
    queue: JobQueue
    table: AsyncDynamoClient
    settings: Settings
    stop: Stop
    worker: str

    async def handle(self, message: Received) -> None:
        """Handle one message and say so in one line; what fails is tried again when it shows up again."""
        with bound_contextvars(message_id=message.message_id, kind=self.kind.name):
            try:
                ending = await self.take(message)
            except (DynamoError, QueueError) as error:
                log.error("message left: AWS failed", error_class=type(error).__name__, error=str(error))  # noqa: TRY400 - the sentence says it
            else:
                log.info("message handled", ending=ending, receive_count=message.receive_count)

    async def take(self, message: Received) -> str:
        """Handle one message; returns how it ended, and raises what AWS refuses."""
        try:
            job = self.kind.decode(message)
        except InvalidMessage as error:
            return await self._bury(message, error)
        owner_id = self.kind.owner_id(job)
        with bound_contextvars(job_id=owner_id):
            try:
                claimed = await self._claim(owner_id, encode(job))
            except LeaseRefused as refused:
                return await self._yield_to(refused, message)
            return await self._run(job, claimed, message)

    async def _bury(self, message: Received, error: InvalidMessage) -> str:
        sent = await self.kind.send_unreadable(error, message)
        reasons = {
            "error_class": ErrorClass.MESSAGE.value,
            "error_message": str(error),
            "worker": self.worker,
            "failed_at": timestamp(),
            "original_message_id": message.message_id,
        }
        await self.queue.bury(message, reasons)
        log.warning("message unreadable", error=str(error), result_sent=sent)
        return Ending.UNREADABLE.name

    async def _claim(self, owner_id: str, body: str) -> JobLease:
        return await self.table.claim_lease(
            owner_id,
            kind=self.kind.name,
            claim_id=str(uuid.uuid4()),
            worker=self.worker,
            now=timestamp(),
            expires_at=timestamp(self.settings.lease_seconds),
            body=body,
        )

    async def _yield_to(self, refused: LeaseRefused, message: Received) -> str:
        record = refused.lease
        if record is None:
            raise refused
        if record.state in {"decided", "closed"}:
            await self.kind.complete(record)
            await self.queue.delete(message)
            return f"ALREADY_{record.outcome}".upper()
        remaining = (read_time(record.expires_at) - datetime.now(UTC)).total_seconds()
        await self.queue.show_after(message, max(0.0, remaining) + 1)
        log.info("job is held by another worker", worker=record.worker, for_seconds=round(remaining, 1))
        return "HELD_ELSEWHERE"

    async def _run(self, job: JobT, record: JobLease, message: Received) -> str:
        lease = Lease(
            record,
            table=self.table,
            queue=self.queue,
            message=message,
            seconds=self.settings.lease_seconds,
        )
        with bound_contextvars(attempt=record.attempt):
            async with lease.held():
                try:
                    verdict = await self._attempt(job, lease)
                    return await self._finish(job, lease, verdict, message)
                except ConditionFailed:
                    log.error("a write of this attempt was refused: the job is someone else's")  # noqa: TRY400
                    return Ending.LOST.name

    async def _attempt(self, job: JobT, lease: Lease) -> Verdict:
        if lease.cancelled.is_set():
            return Verdict(Ending.CANCELLED, message="Cancelled before it started.")
        if lease.attempt > self.settings.max_claims:
            return Verdict(
                Ending.NEVER,
                error_class=ErrorClass.HOST,
                message=f"Claimed {lease.attempt} times without an end: it may bring its hosts down.",
            )
        try:
            with _work_folder(self.settings.work_dir, lease) as folder:
                task = await self.kind.begin(job, lease.attempt, str(folder))
                job_file = folder / "job.json"
                job_file.write_text(task.model_dump_json())
                spec = ChildSpec(
                    self.kind.module,
                    job_file,
                    self.settings.child_environ,
                    drain_seconds=self.settings.drain_seconds,
                    timeout_seconds=self.kind.timeout_seconds(job),
                )
                return await supervise(spec, lease, self.stop)
        except Refused as refused:
            return refused.verdict
        except OSError as error:
            return Verdict.failed(ErrorClass.DISK, f"The work directory cannot be used: {error}")

    async def _finish(self, job: JobT, lease: Lease, verdict: Verdict, message: Received) -> str:
        if verdict.ending is Ending.LATER and len(lease.record.failures) + 1 >= self.settings.max_attempts:
            verdict = _out_of_attempts(lease.record, verdict)
        fate = OUTCOMES[verdict.ending].message
        log.info("attempt ended", ending=verdict.ending.name, reason=verdict.message)
        if fate is MessageFate.DELETE:
            await self._decide(job, lease, verdict)
            await self.queue.delete(message)
        elif fate is MessageFate.SHOW_LATER:
            await self._release(lease, verdict)
            await self.queue.show_after(message, self._backoff_seconds(lease.record))
        elif fate is MessageFate.SHOW_NOW:
            await self.kind.interrupted(job, lease.attempt)
            await self._release(lease, None)
            await self.queue.show_after(message, 0)
        return verdict.ending.name

    async def _decide(self, job: JobT, lease: Lease, verdict: Verdict) -> None:
        decided = await self.table.decide_lease(
            lease.record,
            outcome=outcome_of(verdict.ending),
            decision=self.kind.decide(job, lease.attempt, verdict),
            now=timestamp(),
        )
        lease.decided()
        await self.kind.complete(decided)

    async def _release(self, lease: Lease, verdict: Verdict | None) -> None:
        failure: LeaseFailure | None = None
        if verdict is not None:
            failure = {
                "attempt": lease.attempt,
                "error_class": str(verdict.error_class),
                "message": str(verdict.message)[:FAILURE_CHARS],
                "at": timestamp(),
                "worker": self.worker,
            }
        await self.table.release_lease(lease.record, failure=failure, now=timestamp())
        lease.decided()

    def _backoff_seconds(self, record: JobLease) -> float:
        """Full jitter: anywhere below a bound that doubles with each failure."""
        bound = self.settings.retry_base_seconds * 2 ** len(record.failures)
        return random.uniform(0, min(bound, self.settings.retry_max_seconds))  # noqa: S311 - jitter


def _out_of_attempts(record: JobLease, verdict: Verdict) -> Verdict:
    history = [*(f"attempt {f['attempt']}: {f['message']}" for f in record.failures)]
    history.append(f"attempt {record.attempt}: {verdict.message}")
    return Verdict(
        Ending.NEVER,
        error_class=verdict.error_class,
        message=f"Failed {len(history)} times. " + " | ".join(history),
        seconds=verdict.seconds,
    )


@contextmanager
def _work_folder(root: Path, lease: Lease) -> Iterator[Path]:
    folder = root / f"{lease.record.owner_id}-{lease.attempt}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
