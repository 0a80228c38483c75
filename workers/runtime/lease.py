"""Renews one lease while its child runs; retries writes while the lease is held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.entities import JobLease
from receipt_dynamo.entities.field_types import LeaseProgress
from receipt_dynamo.errors import CredentialsError, DynamoError, NetworkError, Throttled
from receipt_dynamo.operations.leases import LeaseRefused
from workers.errors import QueueError, WorkerError
from workers.health import Health
from workers.runtime.holdable_results import UNHOLDABLE
from workers.settings import Settings
from workers.sqs.queue import JobQueue, Received

BEATS_PER_LEASE = 3
MARGIN = 1 / 6
"""Share of the lease before its end at which a lease that could not be renewed counts as lost."""
_LOOKS_PER_BEAT = 10
"""Checks of the clock per renewal interval: a timer fires late by the time for which the host slept."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Lease:
    """The right to one job: renewed in the table and in the queue by a task of its own.

    Attributes:
        record: the lease as the claim found it.
        claimed_at: the steady second just before the claim was asked for.
        table: where it is renewed, and whose clock counts.
        queue: where its message stays invisible meanwhile.
        message: that message.
        settings: lengths of lease and message.
        health: told of each renewal.
        progress: where the work is; each renewal takes it along.
        beats: told the steady second until which the job stays ours, after each renewal; a child listens.
        lost: set when the job is someone else's, or may be. Then the child has to end; nothing is written.
        cancelled: set when a renewal brought word that the job shall be cancelled.
        message_gone: whether the message was deleted before SQS would take its invisibility away.
    """

    record: JobLease
    claimed_at: float
    table: AsyncDynamoClient
    queue: JobQueue
    message: Received
    settings: Settings
    health: Health
    progress: LeaseProgress | None = None
    beats: Callable[[float], None] = field(default=lambda _: None)
    lost: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    message_gone: bool = field(default=False, init=False)
    _beat: asyncio.Task[None] | None = field(default=None, init=False)
    _safe_until: float = field(init=False)
    _settled: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._safe_until = self._safe_from(self.claimed_at)
        if self.record.cancel_requested_at is not None:
            self.cancelled.set()

    @property
    def attempt(self) -> int:
        """The fencing token of this attempt."""
        return self.record.attempt

    @property
    def message_id(self) -> str | None:
        """The SQS id of the message; None for a job that runs locally, whose message was in no queue."""
        return None if self.record.by_hand else self.message.message_id

    @property
    def is_over(self) -> bool:
        """Whether the lease may have lapsed, so that this worker may neither go on nor complete the job."""
        return self.lost.is_set() or self.table.clock.steady() >= self._safe_until

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Lease]:
        """Renew while the block runs. The heartbeat ends last: after the child's end and all writes."""
        self._beat = asyncio.create_task(self._keep_beating())
        try:
            yield self
        finally:
            await self.stop_heartbeat()

    async def stop_heartbeat(self) -> None:
        """Stop the heartbeat, once no lease or message needs it; a second call does nothing."""
        if self._beat is not None:
            self._beat.cancel()
            await asyncio.wait({self._beat})
            self._beat = None

    def beat_child(self) -> None:
        """Tell a child until when the lease is good."""
        self.beats(self._safe_until)

    def settle(self) -> None:
        """Note that the job is decided: from here on only the message is kept invisible."""
        self._settled = True

    async def _keep_beating(self) -> None:
        interval = self.settings.lease_seconds / BEATS_PER_LEASE
        pause = interval
        try:
            while not self.lost.is_set():
                await self._pause(pause, interval / _LOOKS_PER_BEAT)
                renewed = await self._renew()
                # After a failure the next try comes soon: there is only the rest of the lease to try in.
                pause = interval if renewed else min(interval, max(0.05, interval / 10))
        except Exception as error:
            # If this task died silently, the child would run on without a lease.
            log.exception("heartbeat failed", error=str(error))
            self._lose("its heartbeat failed")

    async def _pause(self, seconds: float, look_seconds: float) -> None:
        steady = self.table.clock.steady
        due = steady() + seconds
        while (left := due - steady()) > 0:  # noqa: ASYNC110 - a clock that asyncio's timers do not follow
            await asyncio.sleep(min(left, look_seconds))

    async def _renew(self) -> bool:
        if self._settled:
            return await self._keep_message()
        asked_at = self.table.clock.steady()
        if asked_at >= self._safe_until:
            self._lose("it could not be renewed in time")
            return False
        try:
            async with asyncio.timeout(self._safe_until - asked_at):
                renewed = await self._ask()
        except LeaseRefused:
            if not self._settled:  # settled while the request was under way
                self._lose("another worker has taken it")
            return False
        except (DynamoError, TimeoutError) as error:
            log.warning("lease not renewed yet", error=str(error) or "no answer in time", beat_failures=1)
            return False
        self._safe_until = self._safe_from(asked_at)
        self.health.record_heartbeat()
        self.beat_child()
        if renewed.cancel_requested_at is not None:
            self.cancelled.set()
        await self._keep_message()
        return True

    async def _ask(self) -> JobLease:
        end = self.table.clock.text(self.settings.lease_seconds)
        try:
            return await self.table.renew_lease(self.record, expires_at=end, progress=self.progress)
        except UNHOLDABLE as error:
            # A child's number must not cost it its lease.
            log.warning("progress not recorded: the table cannot hold it", error=str(error))
            return await self.table.renew_lease(self.record, expires_at=end)

    async def _keep_message(self) -> bool:
        """Keep the message invisible, or take it away while that is still in our hands.

        SQS ends the invisibility 12 hours after the message was received, whatever is asked.
        """
        if self.message_gone:
            return True
        in_flight = self.table.clock.steady() - self.message.received_at
        try:
            if in_flight >= self.settings.message_seconds and not self._settled:
                await self.take_message_away()
                log.info("message deleted, the lease carries the job", in_flight_seconds=round(in_flight))
            elif not await self.queue.show_after(self.message, self.settings.lease_seconds):
                # It shows itself to others; the lease keeps them from the job.
                log.info("message no longer ours, the lease carries the job")
        except (QueueError, WorkerError) as error:
            log.warning("message not extended", error=str(error))
            return False
        return True

    async def take_message_away(self) -> None:
        """Delete the message; from here on the lease alone carries the job.

        Raises:
            WorkerError, QueueError: it is still there.
        """
        # Noted first: an ending that comes meanwhile must not count on a message that is about to go.
        self.message_gone = True
        try:
            await self.queue.delete(self.message)
        except (QueueError, WorkerError):
            self.message_gone = False
            raise

    def _safe_from(self, asked_at: float) -> float:
        return asked_at + self.settings.lease_seconds * (1 - MARGIN)

    def _lose(self, why: str) -> None:
        log.error("lease lost", reason=why, attempt=self.attempt)
        self.lost.set()


_PASSING = (NetworkError, Throttled, CredentialsError, QueueError)
_LONGEST_PAUSE_SECONDS = 5

T = TypeVar("T")


async def retry_while_leased(write: Callable[[], Awaitable[T]], lease: Lease) -> T:
    """Retry a write that AWS cannot accept now, as long as the lease is held: hours of work depend on it."""

    async def once() -> T:  # tenacity awaits what it sees to be a coroutine function
        return await write()

    def is_over(state: RetryCallState) -> bool:
        log.warning("write refused", error=str(state.outcome and state.outcome.exception()))
        return lease.is_over

    tries = AsyncRetrying(
        retry=retry_if_exception_type(_PASSING),
        wait=wait_random_exponential(multiplier=0.2, max=_LONGEST_PAUSE_SECONDS),
        stop=is_over,
        reraise=True,
    )
    return await tries(once)
