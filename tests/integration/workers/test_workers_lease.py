"""The lease alone: renewal, loss, and what the network's silence means."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

from receipt_dynamo.clock import TableClock, now, steady_seconds
from receipt_dynamo.entities import JobLease
from receipt_dynamo.errors import NetworkError
from tests.support.work import Bench, training_bench
from workers.errors import QueueError
from workers.health import Health
from workers.local_aws.local_stack import LocalStack
from workers.runtime.lease import Lease
from workers.sqs.queue import Received

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"


async def claim(bench: Bench, seconds: float) -> tuple[JobLease, Received]:
    await bench.send("{}")
    message = await bench.queue.receive(wait_seconds=0, visibility_seconds=seconds)
    assert message is not None
    record = await bench.aws.table.claim_lease(
        JOB_ID,
        kind="train",
        claim_id=str(uuid.uuid4()),
        worker="bench",
        now=now(),
        expires_at=bench.aws.table.clock.text(seconds),
        body="{}",
    )
    return record, message


def lease_on(bench: Bench, record: JobLease, message: Received, seconds: float, **parts: Any) -> Lease:
    settings = bench.settings.model_copy(update={"lease_seconds": seconds})
    table = parts.get("table", bench.aws.table)
    return Lease(record, steady_seconds(), table, bench.queue, message, settings, Health())


async def test_each_renewal_tells_the_child_and_moves_the_end(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        record, message = await claim(bench, 2.4)
        lease = lease_on(bench, record, message, 2.4)
        told: list[float] = []
        lease.beats = told.append
        async with lease.held():
            await asyncio.sleep(3.2)
        after = await bench.aws.table.get_lease(JOB_ID, kind="train")
        assert after is not None
        assert after.expires_at > record.expires_at
        assert len(told) >= 2
        assert not lease.lost.is_set()


class Unreachable:
    """A table that the network does not reach."""

    clock = TableClock()

    async def renew_lease(self, *_: object, **__: object) -> JobLease:
        raise NetworkError("no route")


class Silent:
    """A table that never answers."""

    clock = TableClock()

    async def renew_lease(self, *_: object, **__: object) -> JobLease:
        await asyncio.sleep(60)
        raise AssertionError("unreachable")


async def test_a_lease_that_is_not_renewed_is_lost_before_it_ends(stack: LocalStack, tmp_path: Path) -> None:
    for table in (Unreachable(), Silent()):
        async with training_bench(stack, tmp_path) as bench:
            record, message = await claim(bench, 1.5)
            lease = lease_on(bench, record, message, 1.5, table=table)
            async with lease.held():
                await asyncio.wait_for(lease.lost.wait(), 1.5)
            await bench.aws.table.release_lease(record, due_at=now())
            await bench.queue.delete(message)


async def test_a_passing_fault_of_the_network_does_not_lose_the_lease(
    stack: LocalStack, tmp_path: Path, monkeypatch: Any
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        record, message = await claim(bench, 3)
        lease = lease_on(bench, record, message, 3)
        renew = bench.aws.table.renew_lease
        failures = [NetworkError("no route"), NetworkError("no route")]

        async def flaky(record: JobLease, **changes: Any) -> JobLease:
            if failures:
                raise failures.pop()
            return await renew(record, **changes)

        monkeypatch.setattr(bench.aws.table, "renew_lease", flaky)
        async with lease.held():
            await asyncio.sleep(3.5)
        assert not failures
        assert not lease.lost.is_set()


async def test_a_queue_that_does_not_answer_does_not_lose_the_lease(
    stack: LocalStack, tmp_path: Path, monkeypatch: Any
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        record, message = await claim(bench, 2)
        lease = lease_on(bench, record, message, 2)

        async def down(*_: object) -> bool:
            raise QueueError("down")

        monkeypatch.setattr(bench.queue, "show_after", down)
        async with lease.held():
            await asyncio.sleep(2.6)
        assert not lease.lost.is_set()


async def test_after_the_decision_only_the_message_is_kept(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        record, message = await claim(bench, 2)
        lease = lease_on(bench, record, message, 2)
        async with lease.held():
            await bench.aws.table.decide_lease(record, outcome="succeeded", decision={}, now=now())
            lease.settle()
            await asyncio.sleep(2.6)
            assert await bench.depth() == (0, 1)
        assert not lease.lost.is_set()


async def test_a_cancel_that_was_asked_for_before_the_claim_is_seen_at_once(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.aws.table.request_cancel(JOB_ID, kind="train", now=now())
        record, message = await claim(bench, 5)
        assert lease_on(bench, record, message, 5).cancelled.is_set()
