"""Completes an attempt: record, result and message follow its outcome."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Generic

import structlog

from messages.child_protocol import ErrorClass
from messages.codec import encode
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobLease
from receipt_dynamo.entities.field_types import LeaseFailure
from workers.runtime.deferral import NOT_BEFORE
from workers.runtime.holdable_results import UNHOLDABLE, holdable
from workers.runtime.job_handler import JobHandler, JobT
from workers.runtime.lease import Lease, retry_while_leased
from workers.runtime.measurements import measure_attempt
from workers.runtime.outcome import OUTCOMES, AttemptResult, Ending, MessageFate, outcome_of
from workers.runtime.request_bodies import RequestBodies
from workers.settings import Settings
from workers.sqs.queue import MAX_DELAY_SECONDS, MAX_VISIBILITY_SECONDS, JobQueue, Received

FAILURE_BYTES = 2000
FULL_FAILURES = 20
"""So many failures keep their whole reason in the lease, later ones a tenth of it."""
MOST_UNCOUNTED = 100
"""With so many failures noted, one that does not count is left to the log: an item holds 400 KB."""
MOST_HIDDEN_SECONDS = MAX_VISIBILITY_SECONDS - 60
"""A message that had to be hidden for longer since its receive is sent afresh: SQS would not hide it."""
_OF_HOST = frozenset(one.value for one in ErrorClass if one.of_host)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Completion(Generic[JobT]):
    """Finishes attempts of one kind."""

    kind: JobHandler[JobT]
    queue: JobQueue
    table: AsyncDynamoClient
    settings: Settings
    worker: str

    async def finish(self, job: JobT, lease: Lease, verdict: AttemptResult, message: Received) -> Ending:
        """Apply the attempt result; returns the outcome, which differs once the attempts are used up.

        Raises:
            ConditionFailed: another worker holds the job.
            DynamoError, QueueError: AWS refused until the lease lapsed. The next worker with the job goes on.
        """
        counted = len(counted_failures(lease.record)) + 1
        if verdict.ending is Ending.LATER and counted >= self.settings.max_attempts:
            verdict = _out_of_attempts(lease.record, verdict)
        fate = OUTCOMES[verdict.ending].message
        measured = measure_attempt(verdict, lease.attempt)
        log.info("attempt ended", ending=verdict.ending.name, reason=verdict.message, **measured)
        if fate is MessageFate.DELETE:
            verdict = await self._decide(job, lease, verdict)
            await self.queue.delete(message)
        elif fate in {MessageFate.SHOW_LATER, MessageFate.SHOW_NOW}:
            await self._hand_on(job, lease, verdict, message)
        return verdict.ending

    async def _hand_on(self, job: JobT, lease: Lease, verdict: AttemptResult, message: Received) -> None:
        """Leave the job to its next attempt: at once after a stop, after a backoff where something failed."""
        meaning = OUTCOMES[verdict.ending]
        if meaning.status == "interrupted":
            why = verdict.message or "the host stops"
            await retry_while_leased(
                lambda: self.kind.interrupted(job, lease.attempt, why, lease.message_id), lease
            )
        if meaning.message is MessageFate.SHOW_NOW:
            await self._free(lease, message, 0, None)
        else:
            why, at = verdict.message or str(verdict.error_class), now()
            await retry_while_leased(lambda: self.kind.note_failure(job, lease.attempt, why, at), lease)
            failure = self._failure(lease, verdict)
            await self._free(lease, message, self._backoff_seconds(lease.record), failure)

    async def _decide(self, job: JobT, lease: Lease, verdict: AttemptResult) -> AttemptResult:
        """Decide the job and complete it; returns the result, reduced if the table cannot hold it."""
        decided, verdict = await self._fix(job, lease, verdict)
        lease.settle()
        # The request in hand: that of the lease may lie in the bucket.
        decided = replace(decided, body=encode(job))
        await retry_while_leased(lambda: self.kind.complete(decided, lease.message_id), lease)
        await retry_while_leased(lambda: self.table.close_lease(decided), lease)
        return verdict

    async def _fix(self, job: JobT, lease: Lease, verdict: AttemptResult) -> tuple[JobLease, AttemptResult]:
        """Write the fullest decision that the table can hold; returns it with its attempt result."""
        *fuller, bare = holdable(verdict)
        for one in fuller:
            try:
                return await self._write_decision(job, lease, one), one
            except UNHOLDABLE as error:
                log.error("the table cannot hold how this attempt ended", error=str(error))  # noqa: TRY400
        return await self._write_decision(job, lease, bare), bare

    async def _write_decision(self, job: JobT, lease: Lease, verdict: AttemptResult) -> JobLease:
        outcome, decision = outcome_of(verdict.ending), self.kind.decide(job, lease.attempt, verdict)
        return await retry_while_leased(
            lambda: self.table.decide_lease(lease.record, outcome=outcome, decision=decision, now=now()),
            lease,
        )

    async def _free(
        self, lease: Lease, message: Received, after_seconds: float, failure: LeaseFailure | None
    ) -> None:
        """Release the lease and show the message again after so many seconds."""
        in_flight = self.table.clock.steady() - message.received_at
        if lease.message_gone or in_flight + after_seconds > MOST_HIDDEN_SECONDS:
            # Before the lease is released: a surplus message is refused, a missing one waits for recovery.
            await retry_while_leased(lambda: self._put_back(lease.record, after_seconds), lease)
            if not lease.message_gone:
                await retry_while_leased(lease.take_message_away, lease)
        due_at = self.table.clock.text(after_seconds + self.settings.orphan_seconds)
        await retry_while_leased(
            lambda: self.table.release_lease(lease.record, due_at=due_at, failure=failure), lease
        )
        await lease.stop_heartbeat()  # it would hide the message again
        if not lease.message_gone:
            await self.queue.show_after(message, after_seconds)

    async def _put_back(self, record: JobLease, after_seconds: float) -> None:
        due = self.table.clock.text(after_seconds) if after_seconds > MAX_DELAY_SECONDS else ""
        bodies = RequestBodies(self.settings, self.kind.name)
        delay = min(after_seconds, MAX_DELAY_SECONDS)
        await requeue(self.queue, bodies, record, delay_seconds=delay, not_before=due)

    def _failure(self, lease: Lease, verdict: AttemptResult) -> LeaseFailure | None:
        """The failure as the lease keeps it; None where its history has reached its limit."""
        known = len(lease.record.failures)
        if verdict.ending is Ending.HOST_FAULT and known >= MOST_UNCOUNTED:
            return None
        most = FAILURE_BYTES if known < FULL_FAILURES else FAILURE_BYTES // 10
        return {
            "attempt": lease.attempt,
            "error_class": str(verdict.error_class),
            "message": str(verdict.message).encode()[:most].decode(errors="ignore"),
            "at": now(),
            "worker": self.worker,
        }

    def _backoff_seconds(self, record: JobLease) -> float:
        """Full jitter: anywhere below a bound that doubles with each failure."""
        bound = self.settings.retry_base_seconds * 2 ** len(record.failures)
        return random.uniform(0, min(bound, self.settings.retry_max_seconds))  # noqa: S311 - jitter


async def complete(
    kind: JobHandler[JobT],
    table: AsyncDynamoClient,
    bodies: RequestBodies,
    record: JobLease,
    message_id: str | None = None,
) -> None:
    """Complete a decided job, whichever worker decided it; if it is closed, only send the result again."""
    if record.state == "decided":
        record = await bodies.read(record)
    await kind.complete(record, message_id)
    if record.state == "decided":
        await table.close_lease(record)


async def requeue(
    queue: JobQueue,
    bodies: RequestBodies,
    record: JobLease,
    *,
    delay_seconds: float = 0,
    not_before: str = "",
) -> JobLease:
    """Send a job's request to its queue again; the lease makes one too many harmless.

    Returns the lease with the request in it. `not_before` is when whoever receives it may begin.
    """
    record = await bodies.read(record)
    attributes = {"kind": record.kind, NOT_BEFORE: not_before}
    await queue.put(record.body or "", attributes, delay_seconds=delay_seconds)
    return record


def counted_failures(record: JobLease) -> list[LeaseFailure]:
    """The failures that count towards `max_attempts`: those that may be the job's own."""
    return [one for one in record.failures if one["error_class"] not in _OF_HOST]


def _out_of_attempts(record: JobLease, verdict: AttemptResult) -> AttemptResult:
    before = counted_failures(record)
    if not before:
        return replace(verdict, ending=Ending.NEVER)
    history = [f"attempt {f['attempt']}: {f['message']}" for f in before]
    history.append(f"attempt {record.attempt}: {verdict.message}")
    return AttemptResult(
        Ending.NEVER,
        error_class=verdict.error_class,
        message=f"Failed {len(history)} times. " + " | ".join(history),
        seconds=verdict.seconds,
    )


def out_of_claims(record: JobLease) -> AttemptResult:
    """The last bound, however its attempts ended."""
    said = f"Claimed {record.attempt} times without an end: it may bring its hosts down."
    if record.failures:
        said += f" Last failure: {record.failures[-1]['message']}"
    return AttemptResult(Ending.NEVER, error_class=ErrorClass.HOST, message=said)
