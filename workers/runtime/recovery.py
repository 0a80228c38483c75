"""Finds orphaned jobs and puts them back on the queue."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic

import structlog

from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobLease
from receipt_dynamo.entities.field_types import LeaseKind
from receipt_dynamo.errors import ConditionFailed, DynamoError, InvalidItem, NotFound
from receipt_dynamo.operations.leases import LeaseRefused
from receipt_dynamo.skipped import skipped_noted
from workers.aws_errors import TooLong
from workers.errors import QueueError
from workers.runtime.completion import complete, requeue
from workers.runtime.holdable_results import UNHOLDABLE
from workers.runtime.job_handler import JobHandler, JobT
from workers.runtime.request_bodies import BodyUnreachable, RequestBodies
from workers.settings import Settings
from workers.sqs.queue import JobQueue, Received
from workers.sqs.queue_definitions import RETENTION_SECONDS

Step = Callable[[JobLease], Awaitable[bool]]

_OF_ONE_LEASE = (*UNHOLDABLE, ConditionFailed, InvalidItem, NotFound, BodyUnreachable, TooLong)
"""Errors of one job, as opposed to errors of AWS."""

log = structlog.get_logger(__name__)


async def register(
    table: AsyncDynamoClient, settings: Settings, kind: LeaseKind, owner_id: str, body: str
) -> None:
    """Note a request that was just sent in a free lease, so that a lost message is noticed.

    A sender who may not write a large one to the bucket goes without: the worker that takes it notes it.
    """
    try:
        held = await RequestBodies(settings, kind).keep(owner_id, body)
    except BodyUnreachable as error:
        log.warning("request not noted", job_id=owner_id, error=str(error))
        return
    due_at = table.clock.text(settings.orphan_seconds)
    await table.offer_lease(owner_id, kind=kind, body=held, due_at=due_at)


@dataclass(slots=True)
class OrphanRecovery(Generic[JobT]):
    """Looks for forgotten jobs of one kind."""

    kind: JobHandler[JobT]
    queue: JobQueue
    table: AsyncDynamoClient
    settings: Settings
    _due: float = field(init=False)

    def __post_init__(self) -> None:
        self._plan()

    async def run_if_due(self) -> None:
        """Sweep once in a while; workers that started together do not do it together."""
        if self.table.clock.steady() < self._due:
            return
        self._plan()
        try:
            await self.run()
        except (DynamoError, QueueError) as error:
            log.warning("sweep failed", error=str(error))

    async def run(self) -> int:
        """Bring back what is found; returns how many jobs that were.

        One lease that fails keeps none of the others from being brought back, sweep after sweep.

        Raises:
            DynamoError, QueueError: AWS refused the search, or one of the jobs, after all others were brought
                back; what is left is found the next time.
        """
        refused: list[DynamoError | QueueError] = []
        brought_back = [await self._try(step, lease, refused) for step, lease in await self._look()]
        if refused:
            raise refused[0]
        return sum(brought_back)

    async def _look(self) -> list[tuple[Step, JobLease]]:
        clock, kind = self.table.clock, self.kind.name
        with skipped_noted() as skipped:
            # For as long again as the lease was, its message is likely to show itself.
            long_over = clock.text(-self.settings.lease_seconds)
            dead = (await self.table.list_leases(kind, "held", before=long_over)).items
            waiting = (await self.table.list_leases(kind, "free", before=clock.text())).items
            decided = (await self.table.list_leases(kind, "decided", before=clock.text())).items
        if skipped:
            log.warning("leases that cannot be read", leases=len(skipped), error=str(skipped))
        forgotten = [(self._put_back, one) for one in (*dead, *waiting) if not one.by_hand]
        return forgotten + [(self._complete, one) for one in decided]

    async def _try(self, step: Step, lease: JobLease, refused: list[DynamoError | QueueError]) -> bool:
        said = {"job_id": lease.owner_id, "state": lease.state}
        try:
            return await step(lease)
        except _OF_ONE_LEASE as error:
            log.error("a lease cannot be brought back", error=str(error), **said)  # noqa: TRY400
        except (DynamoError, QueueError) as error:
            log.warning("a job was not brought back: AWS refused", error=str(error), **said)
            refused.append(error)
        except Exception:
            log.exception("a lease cannot be brought back", **said)
        return False

    async def _complete(self, decided: JobLease) -> bool:
        await complete(self.kind, self.table, self._bodies, decided)
        log.warning("completed a decided job", job_id=decided.owner_id, outcome=decided.outcome)
        return True

    async def _put_back(self, seen: JobLease) -> bool:
        # A cancel that came before its job leaves a lease without a request; look at it no more.
        wait = RETENTION_SECONDS if seen.body is None else self.settings.orphan_seconds
        try:
            await self.table.postpone_lease(seen, due_at=self.table.clock.text(wait))
        except LeaseRefused:
            return False  # another worker was first
        if seen.body is None:
            return False
        sent = await requeue(self.queue, self._bodies, seen)
        if seen.state == "held":
            job = self.kind.decode(Received(message_id=seen.owner_id, body=str(sent.body), receipt_handle=""))
            await self.kind.interrupted(job, seen.attempt, f"its worker {seen.worker} is gone")
        log.warning("put a job back", job_id=seen.owner_id, was=seen.state, since=seen.expires_at, now=now())
        return True

    @property
    def _bodies(self) -> RequestBodies:
        return RequestBodies(self.settings, self.kind.name)

    def _plan(self) -> None:
        pause = self.settings.sweep_seconds * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        self._due = self.table.clock.steady() + pause
