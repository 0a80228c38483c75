"""The classic faults of a queue worker, each put into the real code for a while: they have to be noticed.

A fault that another layer makes harmless is put in with that layer taken away; `Mutant.guarded` says so for
the child's own guard.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from receipt_dynamo.operation import Request
from receipt_dynamo.requests import leases
from receipt_dynamo.requests.expressions import names_in
from tests.simulation.draw import draw_plan
from tests.simulation.expressions import placeholders
from tests.simulation.network import Way
from tests.simulation.plan import LEASE_SECONDS, Deed, Mishap, Plan
from workers.runtime import supervisor as supervise
from workers.runtime.lease import Lease
from workers.runtime.loop import run_until_stopped
from workers.runtime.message_processor import MessageProcessor
from workers.sqs.queue import JobQueue, Received
from workers.stop import Stop


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        put_in: puts the fault into the code while its block runs.
        provoke: draws the mishap that brings it out most easily.
        guarded: whether children heed their deadline meanwhile.
        deeds: the mishaps that stay in the plans; None keeps all.
    """

    put_in: Callable[[], AbstractContextManager[object]]
    provoke: Callable[[random.Random, int], Mishap]
    guarded: bool = True
    deeds: tuple[Deed, ...] | None = None

    @property
    def is_in_the_child(self) -> bool:
        """Whether the missing guard is the fault itself."""
        return self.put_in is nullcontext

    def plan(self, seed: int) -> Plan:
        """Draw a schedule in which this fault can be seen."""
        plan = draw_plan(seed)
        kept = [one for one in plan.mishaps if self.deeds is None or one.deed in self.deeds]
        provoked = self.provoke(random.Random(f"provoke {seed}"), len(plan.workers))
        return replace(plan, mishaps=(*kept, provoked))


@contextmanager
def _beat_stops_when_the_drain_begins() -> Iterator[None]:
    drain = supervise._drain  # noqa: SLF001 - the fault is put in just here

    async def mutated(child: Any, spec: Any, lease: Lease, stop: Stop) -> Any:
        await lease.stop_heartbeat()
        return await drain(child, spec, lease, stop)

    with mock.patch.object(supervise, "_drain", mutated):
        yield


@contextmanager
def _lost_lease_is_only_logged() -> Iterator[None]:
    with mock.patch.object(Lease, "_lose", return_value=None):
        yield


@contextmanager
def _message_is_deleted_after_the_lease_was_lost() -> Iterator[None]:
    run = MessageProcessor._run  # noqa: SLF001

    async def mutated(self: MessageProcessor[Any], job: Any, lease: Lease, message: Received) -> str:
        ending = await run(self, job, lease, message)
        if ending == "LOST":
            await self.queue.delete(message)
        return ending

    with mock.patch.object(MessageProcessor, "_run", mutated):
        yield


@contextmanager
def _poll_is_abandoned_when_the_stop_comes() -> Iterator[None]:
    async def mutated(queue: JobQueue, handle: Any, stop: Stop, *args: Any, **options: Any) -> None:
        hasty = mock.Mock(wraps=queue)
        hasty.receive = _racing(queue, stop)
        await run_until_stopped(hasty, handle, stop, *args, **options)

    with mock.patch("tests.simulation.fleet.run_until_stopped", mutated):
        yield


def _racing(queue: JobQueue, stop: Stop) -> Callable[..., Awaitable[Received | None]]:
    async def receive(**options: Any) -> Received | None:
        poll = asyncio.ensure_future(queue.receive(**options))
        asked = asyncio.ensure_future(stop.requested.wait())
        await asyncio.wait({poll, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if poll.done():
            return poll.result()
        poll.cancel()
        return None

    return receive


def _reworded(name: str, condition: str) -> Callable[[], AbstractContextManager[object]]:
    """Return what gives the request that a function builds another condition."""
    build: Callable[..., Request] = getattr(leases, name)

    def mutated(*args: Any, **options: Any) -> Request:
        request = build(*args, **options)
        arguments = {**request.arguments, "ConditionExpression": condition}
        # DynamoDB refuses what is given and not used.
        used = placeholders(condition, arguments["UpdateExpression"])
        for part in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            arguments[part] = {name: value for name, value in arguments[part].items() if name in used}
        arguments["ExpressionAttributeNames"] |= names_in(condition)
        return Request(request.call, arguments)

    return lambda: mock.patch.object(leases, name, mutated)


def _freeze_before_a_write(draw: random.Random, slots: int) -> Mishap:
    slot, number = draw.randrange(slots), draw.randint(2, 14)
    return Mishap("freeze", slot, None, "update_item", number, seconds=3 * LEASE_SECONDS)


def _stop_in_the_midst(draw: random.Random, slots: int) -> Mishap:
    return Mishap("sigterm", draw.randrange(slots), None, "change_message_visibility", draw.randint(1, 8))


def _cut_off(draw: random.Random, slots: int) -> Mishap:
    at = draw.uniform(20, 150)
    return Mishap("cut", draw.randrange(slots), at, seconds=80.0, services=("table",), way=Way.SILENT)


ANYBODY = "attribute_exists(#state)"
MUTANTS: dict[str, Mutant] = {
    "beat stopped before the drain ends": Mutant(
        _beat_stops_when_the_drain_begins, _stop_in_the_midst, deeds=("sigterm",)
    ),
    "abandoned poll strands a message": Mutant(
        _poll_is_abandoned_when_the_stop_comes, _stop_in_the_midst, deeds=("sigterm",)
    ),
    "lost lease only logged": Mutant(
        _lost_lease_is_only_logged, _cut_off, guarded=False, deeds=("cut", "sigterm")
    ),
    "delete after expiry": Mutant(_message_is_deleted_after_the_lease_was_lost, _freeze_before_a_write),
    "completion without a condition": Mutant(_reworded("decide_lease", ANYBODY), _freeze_before_a_write),
    "release without a condition": Mutant(_reworded("release_lease", ANYBODY), _freeze_before_a_write),
    "sweep without a condition": Mutant(_reworded("postpone_lease", ANYBODY), _freeze_before_a_write),
    "claim that ignores the lease's end": Mutant(
        _reworded("claim_lease", "attribute_not_exists(#PK) OR #state = :free OR #state = :held"),
        _freeze_before_a_write,
    ),
    "child that ignores its deadline": Mutant(nullcontext, _freeze_before_a_write, guarded=False),
}
