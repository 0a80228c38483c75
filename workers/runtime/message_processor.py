"""One message from receipt to end: decode, claim, run, complete, one log line."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic

import structlog
from structlog.contextvars import bound_contextvars

from messages.child_protocol import ErrorClass, Report
from messages.codec import encode
from messages.errors import InvalidMessage
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import now, read_time
from receipt_dynamo.entities import JobLease
from receipt_dynamo.errors import (
    ClockError,
    ConditionFailed,
    CredentialsError,
    DynamoError,
    Forbidden,
    InvalidItem,
    NetworkError,
    Throttled,
)
from receipt_dynamo.operations.leases import LeaseRefused
from workers.errors import QueueError, WorkerError
from workers.health import Health
from workers.host.keep_awake import kept_awake
from workers.runtime.attempt_folder import attempt_folder, write_job_file
from workers.runtime.child import Child, ChildSpec
from workers.runtime.completion import MOST_HIDDEN_SECONDS, Completion, complete, out_of_claims
from workers.runtime.deferral import hidden_seconds, seconds_until_due
from workers.runtime.holdable_results import UNHOLDABLE
from workers.runtime.host_faults import HostFaults
from workers.runtime.job_handler import JobHandler, JobT
from workers.runtime.lease import Lease, retry_while_leased
from workers.runtime.measurements import measure_claim, measure_message
from workers.runtime.outcome import AttemptResult, Ending, Refused
from workers.runtime.request_bodies import RequestBodies
from workers.runtime.supervisor import supervise
from workers.settings import Settings
from workers.sqs.message_attributes import FAULTS, write_faults
from workers.sqs.queue import JobQueue, Received
from workers.stop import Stop
from workers.telemetry.tracing import Tracing

StartChild = Callable[[ChildSpec, Callable[[Report], None]], Awaitable[Child]]

_PASSING: dict[type[DynamoError], ErrorClass] = {
    Throttled: ErrorClass.THROTTLED,
    NetworkError: ErrorClass.NETWORK,
    ClockError: ErrorClass.CLOCK,
    CredentialsError: ErrorClass.CREDENTIALS,
    Forbidden: ErrorClass.SETUP,
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MessageProcessor(Generic[JobT]):
    """Takes messages of one kind to their end.

    Attributes:
        kind: what the jobs are.
        queue: where their messages come from.
        table: where their leases and records are.
        settings: lengths and limits.
        stop: asks a running child to reach a checkpoint.
        worker: our name in leases, records and logs.
        health: told what we are doing.
        start_child: starts the process that does the work.
        by_hand: whether no queue stands behind the jobs, so that no sweep may put them on one.
        tracing: makes spans of messages and children.
        host_faults: ends the worker where no job can succeed.
    """

    kind: JobHandler[JobT]
    queue: JobQueue
    table: AsyncDynamoClient
    settings: Settings
    stop: Stop
    worker: str
    health: Health = field(default_factory=Health)
    start_child: StartChild = Child.start
    by_hand: bool = False
    tracing: Tracing = field(default_factory=Tracing)
    host_faults: HostFaults = field(default_factory=HostFaults)

    async def handle(self, message: Received) -> None:
        """Handle one message and say so in one line; what fails is tried again when it shows up again.

        Raises:
            WorkerError: no message can be handled: the queue or the credentials are gone, or jobs fail for
                this host's faults.
        """
        began_at = self.table.clock.steady()

        def measured() -> dict[str, Any]:
            seconds = self.table.clock.steady() - began_at
            return measure_message(message, ending, seconds, self.health.report().job)

        with (
            bound_contextvars(message_id=message.message_id, kind=self.kind.name),
            self.tracing.message(self.kind.name, message),
        ):
            ending = "LEFT"
            try:
                ending = await self.take(message)
            except (DynamoError, QueueError) as error:
                why = {"error_class": type(error).__name__, "error": str(error)}
                log.error("message left: AWS failed", **why, **measured())  # noqa: TRY400 - the sentence says it
                await self._leave(message)
            except WorkerError:
                raise
            except Exception:
                # A defect that one message brings out must not end the worker for all the others.
                log.exception("message left: a defect", **measured())
            else:
                log.info("message handled", **measured())
            self.tracing.note(ending=ending)
            self.health.ended(ending)
        self.host_faults.check()

    async def take(self, message: Received) -> str:
        """Handle one message; returns how it ended, and raises what AWS refuses."""
        try:
            job = self.kind.decode(message)
        except InvalidMessage as error:
            return await self._bury_unreadable(message, error)
        wait = seconds_until_due(message, self.table.clock.now())
        if wait > 0:
            await self.queue.show_after(message, min(wait, MOST_HIDDEN_SECONDS))
            return "NOT_DUE"
        owner_id = self.kind.owner_id(job)
        self.tracing.note(job_id=owner_id)
        with bound_contextvars(job_id=owner_id):
            held = await self._bodies.keep(owner_id, encode(job))
            claimed_at = self.table.clock.steady()
            try:
                record = await self._claim(owner_id, held)
            except LeaseRefused as refused:
                return await self._skip_held_job(refused, job, message)
            except InvalidItem as error:  # at each delivery the same
                return await self._bury_unclaimable(message, error)
            log.info("job claimed", **measure_claim(message, record.attempt, self.table.clock.now()))
            lease = Lease(record, claimed_at, self.table, self.queue, message, self.settings, self.health)
            if await self._is_another_request(record, job, message):
                due_at = self.table.clock.text(self.settings.orphan_seconds)
                await self.table.release_lease(record, due_at=due_at)
                return await self._bury_second(message, record)
            return await self._run(job, lease, message)

    async def _leave(self, message: Received) -> None:
        """Hide a message for a while that AWS kept us from handling; its job's lease may run on as long."""
        with suppress(QueueError):  # then it shows itself when it would have
            await self.queue.show_after(message, hidden_seconds(message, self.settings.lease_seconds))

    async def _bury_unreadable(self, message: Received, error: InvalidMessage) -> str:
        sent = await self.kind.send_unreadable(error, message)
        faults = {FAULTS: write_faults(error.faults)}
        await self._bury(message, ErrorClass.MESSAGE, str(error), **faults)
        log.info("result of the unreadable message", sent=sent)
        return Ending.UNREADABLE.name

    async def _bury_second(self, message: Received, record: JobLease) -> str:
        """Put a message away that names another sender's job; a result would pass for that job's."""
        await self._bury(
            message,
            ErrorClass.ID_IN_USE,
            f"{self.kind.name} {record.owner_id} was asked for before with other content, which stays as it "
            "was. Send this request with an id of its own.",
        )
        return "ID_IN_USE"

    async def _bury_unclaimable(self, message: Received, error: InvalidItem) -> str:
        await self._bury(
            message,
            ErrorClass.DATA,
            f"The lease of this job cannot be read: {error}. Correct or delete that item, then send the "
            "message back with `layoutlm-cli dlq redrive`.",
        )
        return "LEASE_UNREADABLE"

    async def _bury(self, message: Received, error_class: ErrorClass, why: str, **more: str) -> None:
        reasons = {
            "error_class": error_class.value,
            "error_message": why,
            "worker": self.worker,
            "failed_at": now(),
        }
        await self.queue.bury(message, {**reasons, **more})
        log.warning("message buried", error_class=error_class, error=why)

    async def _claim(self, owner_id: str, body: str) -> JobLease:
        return await self.table.claim_lease(
            owner_id,
            kind=self.kind.name,
            claim_id=str(uuid.uuid4()),
            worker=self.worker,
            now=self.table.clock.text(),
            expires_at=self.table.clock.text(self.settings.lease_seconds),
            body=body,
            by_hand=self.by_hand,
        )

    @property
    def _bodies(self) -> RequestBodies:
        return RequestBodies(self.settings, self.kind.name)

    async def _is_another_request(self, record: JobLease, job: JobT, message: Received) -> bool:
        """Whether the lease was given another request under the same id.

        The parsed requests are compared: a newer version may write the same one differently.
        """
        if record.body in {None, self._bodies.held(record.owner_id, encode(job))}:
            return False
        text = str((await self._bodies.read(record)).body)
        if json.loads(text) == json.loads(encode(job)):
            return False
        try:
            return self.kind.decode(replace(message, body=text)) != job
        except InvalidMessage:  # accepted by another version; then this one's reading counts
            return False

    async def _skip_held_job(self, refused: LeaseRefused, job: JobT, message: Received) -> str:
        record = refused.lease
        if record is None:
            raise refused
        if await self._is_another_request(record, job, message):
            return await self._bury_second(message, record)
        if record.state == "closed" and record.outcome == "cancelled":
            # Its result went out when it was cancelled; this is most likely the message that it waited with.
            await self.queue.delete(message)
            return "ALREADY_CANCELLED"
        if record.state in {"decided", "closed"}:
            message_id = None if self.by_hand else message.message_id
            await complete(self.kind, self.table, self._bodies, record, message_id)
            await self.queue.delete(message)
            return f"ALREADY_{record.outcome}".upper()
        remaining = (read_time(record.expires_at) - self.table.clock.now()).total_seconds()
        await self.queue.show_after(message, hidden_seconds(message, max(0.0, remaining) + 1))
        log.info("job is held by another worker", worker=record.worker, for_seconds=round(remaining, 1))
        return "HELD_ELSEWHERE"

    async def _run(self, job: JobT, lease: Lease, message: Received) -> str:
        finish = Completion(self.kind, self.queue, self.table, self.settings, self.worker)
        self.health.began(self.kind.name, lease.record.owner_id, lease.attempt)
        self.tracing.note(attempt=lease.attempt)
        with bound_contextvars(attempt=lease.attempt):
            async with lease.held(), kept_awake():
                try:
                    verdict = await self._attempt(job, lease)
                    ending = await finish.finish(job, lease, verdict, message)
                    self.host_faults.note(lease.record.owner_id, verdict)
                except ConditionFailed:
                    log.error("a write of this attempt was refused: the job is someone else's")  # noqa: TRY400
                    ending = Ending.LOST
                return ending.name

    async def _attempt(self, job: JobT, lease: Lease) -> AttemptResult:
        if lease.cancelled.is_set():
            return AttemptResult(Ending.CANCELLED, message="Cancelled before it started.")
        if lease.attempt > self.settings.max_claims:
            return out_of_claims(lease.record)
        try:
            name = f"{lease.record.owner_id}-{lease.attempt}"
            async with attempt_folder(self.settings.work_dir, name) as folder:
                task = await retry_while_leased(
                    lambda: self.kind.begin(job, lease.attempt, str(folder.path), lease.message_id), lease
                )
                job_file = write_job_file(folder, task)
                with self.tracing.child() as trace:
                    spec = ChildSpec(
                        self.kind.module,
                        job_file,
                        {**self.settings.child_environ, **trace},
                        drain_seconds=self.settings.drain_seconds,
                        timeout_seconds=self.kind.timeout_seconds(job),
                        stall_seconds=self.settings.stall_seconds,
                        keeps=(folder.lock,),
                    )
                    return await supervise(spec, lease, self.stop, self.health, self.start_child)
        except Refused as refused:
            return refused.verdict
        except tuple(_PASSING) as error:
            return AttemptResult.failed(_PASSING[type(error)], str(error))
        except UNHOLDABLE as error:
            return AttemptResult.failed(
                ErrorClass.CONFIGURATION, f"The table cannot hold this request: {error}"
            )
