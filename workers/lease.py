"""Keeps one job ours while its child runs, and says so the moment it is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from receipt_dynamo.aio import AsyncDynamoClient
from receipt_dynamo.entities import JobLease
from receipt_dynamo.errors import DynamoError, LeaseRefused
from receipt_dynamo.times import write_time
from workers.errors import QueueError
from workers.queue import JobQueue, Received

BEATS_PER_LEASE = 3
MARGIN = 1 / 6
"""Share of the lease before its end at which a lease that could not be renewed counts as lost."""

log = structlog.get_logger(__name__)


def timestamp(after_seconds: float = 0.0) -> str:
    """Now, or so many seconds from now, as the table writes times."""
    return write_time(datetime.now(UTC) + timedelta(seconds=after_seconds))


@dataclass(slots=True, eq=False)
class Lease:
    """The right to one job: renewed in the table and in the queue by a task of its own.

    Attributes:
        record: the lease as the claim found it.
        table: where it is renewed.
        queue: where its message stays invisible meanwhile.
        message: that message.
        seconds: how long a renewal is good for.
        clock: monotonic seconds.
        beats: told after each renewal for how many seconds the job stays ours; a child listens.
        lost: set when the job is someone else's, or may be. Then the child has to end; nothing is written.
        cancelled: set when a renewal brought word that the job shall be cancelled.
    """

    record: JobLease
    table: AsyncDynamoClient
    queue: JobQueue
    message: Received
    seconds: float
    clock: Callable[[], float] = time.monotonic
    beats: Callable[[float], None] = field(default=lambda _: None)
    lost: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _safe_until: float = field(init=False)
    _decided: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._safe_until = self.clock() + self.seconds * (1 - MARGIN)
        if self.record.cancel_requested_at is not None:
            self.cancelled.set()

    @property
    def attempt(self) -> int:
        """The fencing token of this attempt."""
        return self.record.attempt

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Lease]:
        """Renew while the block runs. The beat ends last: after the child is reaped and all is written."""
        beat = asyncio.create_task(self._keep_beating())
        try:
            yield self
        finally:
            beat.cancel()
            await asyncio.wait({beat})

    def beat_child(self) -> None:
        """Tell a child that has just started how long the lease is good for."""
        self.beats(max(0.0, self._safe_until - self.clock()))

    def decided(self) -> None:
        """The table holds the outcome; from here on only the message needs to stay ours."""
        self._decided = True

    async def _keep_beating(self) -> None:
        interval = self.seconds / BEATS_PER_LEASE
        pause = interval
        while not self.lost.is_set():
            await asyncio.sleep(pause)
            renewed = await self._renew()
            # After a failure the next try comes soon: there is only the rest of the lease to try in.
            pause = interval if renewed else min(interval, max(0.05, interval / 10))

    async def _renew(self) -> bool:
        if self._decided:
            return await self._stay_invisible()
        asked_at = self.clock()
        if asked_at >= self._safe_until:
            self._lose("it could not be renewed in time")
            return False
        try:
            async with asyncio.timeout(self._safe_until - asked_at):
                renewed = await self.table.renew_lease(self.record, expires_at=timestamp(self.seconds))
        except LeaseRefused:
            if not self._decided:  # decided while the request was under way
                self._lose("another worker has taken it")
            return False
        except (DynamoError, TimeoutError) as error:
            log.warning("lease not renewed yet", error=str(error) or "no answer in time")
            return False
        self._safe_until = asked_at + self.seconds * (1 - MARGIN)
        self.beats(self.seconds * (1 - MARGIN))
        if renewed.cancel_requested_at is not None:
            self.cancelled.set()
        await self._stay_invisible()
        return True

    async def _stay_invisible(self) -> bool:
        try:
            if not await self.queue.show_after(self.message, self.seconds):
                # The message shows itself to others; the lease keeps them from the job.
                log.info("message no longer ours, the lease carries the job")
        except QueueError as error:
            log.warning("message not extended", error=str(error))
            return False
        return True

    def _lose(self, why: str) -> None:
        log.error("lease lost", reason=why, attempt=self.attempt)
        self.lost.set()
