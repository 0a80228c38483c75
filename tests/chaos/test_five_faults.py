"""The five faults that workers on SQS are known for, each as the situation in which it would show."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from messages.child_protocol import Report
from receipt_dynamo.clock import TableClock, now
from receipt_dynamo.entities import JobLease
from receipt_dynamo.errors import NetworkError
from receipt_dynamo.operations.leases import LeaseRefused
from tests.chaos.workers import CHILD
from tests.support.work import Bench, training_bench
from workers.jobs.training import TrainingHandler
from workers.local_aws.local_stack import LocalStack
from workers.runtime.child import Child, ChildSpec

PATIENT: dict[str, Any] = {"poll_seconds": 4}
"""Waits until the message of another, whose lease has run out, shows itself."""
JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"


class _Training(TrainingHandler):
    module = CHILD


def bench(stack: LocalStack, work_dir: Path, **changes: Any) -> AbstractAsyncContextManager[Bench]:
    return training_bench(stack, work_dir, _Training, **changes)


async def send(on: Bench, script: str) -> None:
    await on.send({"job_id": JOB_ID, "job_name": "demo", "tags": {"script": script}})


async def lease_of(on: Bench) -> JobLease:
    lease = await on.aws.table.get_lease(JOB_ID, kind="train")
    assert lease is not None
    return lease


async def items_of(on: Bench) -> list[Any]:
    items = on.stack.client("dynamodb").scan(TableName=on.aws.table.table_name)["Items"]
    return sorted(items, key=str)


class Nursery:
    """Starts real children; says when one has begun to work, and when it ended by the table's clock."""

    def __init__(self, clock: TableClock) -> None:
        self._clock = clock
        self.ended_at = ""
        self.working = asyncio.Event()
        self.pid = 0

    async def start(self, spec: ChildSpec, on_report: Callable[[Report], None]) -> Child:
        def hear(report: Report) -> None:
            on_report(report)
            self.working.set()

        child = await Child.start(spec, hear)
        self.pid = child.pid
        self._ending = asyncio.create_task(child.wait())
        self._ending.add_done_callback(lambda _: setattr(self, "ended_at", self._clock.text()))
        return child


@asynccontextmanager
async def at_work(on: Bench) -> AsyncIterator[Nursery]:
    """Let a bench take its message; the block begins when the child works, and its end is waited for."""
    nursery = Nursery(on.aws.table.clock)
    on.handler = replace(on.handler, start_child=nursery.start)
    work = asyncio.create_task(on.work_once())
    await asyncio.wait_for(nursery.working.wait(), 30)
    yield nursery
    await asyncio.wait_for(work, 30)


async def steal(on: Bench) -> JobLease:
    """Be the worker that claims the job the moment its lease has run out."""
    while True:
        await on.aws.table.renew_lease(await lease_of(on), expires_at=on.aws.table.clock.text(-1))
        try:
            return await on.aws.table.claim_lease(
                JOB_ID,
                kind="train",
                claim_id=str(uuid.uuid4()),
                worker="thief",
                now=now(),
                expires_at=on.aws.table.clock.text(60),
                body="{}",
            )
        except LeaseRefused:  # renewed between the two
            continue


@asynccontextmanager
async def frozen_before_its_decision(
    on: Bench, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Let a bench work up to the write that decides; there it renews nothing, and believes that all is well.

    Yields what lets it go on, to its end.
    """
    reached, go_on = asyncio.Event(), asyncio.Event()
    decide = on.aws.table.decide_lease

    async def decide_late(*args: Any, **kwargs: Any) -> JobLease:
        reached.set()
        await go_on.wait()
        return await decide(*args, **kwargs)

    async def pretend(*_: object, **__: object) -> Any:
        return await lease_of(on)

    monkeypatch.setattr(on.aws.table, "decide_lease", decide_late)
    monkeypatch.setattr(on.aws.table, "renew_lease", pretend)
    monkeypatch.setattr(on.queue, "show_after", pretend)
    work = asyncio.create_task(on.work_once())
    await asyncio.wait_for(reached.wait(), 30)

    async def thaw() -> None:
        go_on.set()
        await asyncio.wait_for(work, 30)

    yield thaw


async def test_the_beat_outlives_a_drain_that_is_longer_than_the_lease(
    stack: LocalStack, tmp_path: Path
) -> None:
    quick: dict[str, Any] = {"lease_seconds": 2, "drain_seconds": 4.5}
    async with bench(stack, tmp_path, **quick) as first, bench(stack, tmp_path) as second:
        await send(first, "deaf:60|succeed")
        async with at_work(first):
            first.stop.request()
            end = time.monotonic() + 4.2
            while time.monotonic() < end:
                await second.work_once()
                assert (await lease_of(first)).attempt == 1
                await asyncio.sleep(0.1)
        await second.work_once()
        record = await second.aws.table.get_job(JOB_ID)
        assert (record.status, record.attempt) == ("succeeded", 2)


async def test_no_poll_is_abandoned_so_what_arrives_during_the_stop_is_seen_again_at_once(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with bench(stack, tmp_path, poll_seconds=20) as first, bench(stack, tmp_path) as second:
        polling = asyncio.Event()
        first.aws.sqs.meta.events.register("before-send.sqs.ReceiveMessage", lambda **_: polling.set())
        work = asyncio.create_task(first.work_once())
        await polling.wait()
        first.stop.request()
        await send(second, "succeed")
        await asyncio.wait_for(work, 5)
        await second.work_once()
        assert (await second.aws.table.get_job(JOB_ID)).status == "succeeded"


async def test_a_lost_lease_ends_the_child_and_nothing_is_written(stack: LocalStack, tmp_path: Path) -> None:
    async with bench(stack, tmp_path, lease_seconds=1.5) as first:
        await send(first, "work:60")
        async with at_work(first) as nursery:
            await steal(first)
            stolen_at, before = time.monotonic(), await items_of(first)
        assert time.monotonic() - stolen_at < 1.5
        assert not psutil.pid_exists(nursery.pid)
        assert await items_of(first) == before
        assert await first.results() == []
        assert sum(await first.depth()) == 1


async def test_a_lease_that_cannot_be_renewed_ends_the_child_while_it_is_still_ours(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*_: object, **__: object) -> JobLease:
        raise NetworkError("no route")

    async with bench(stack, tmp_path, lease_seconds=3) as first:
        await send(first, "work:60")
        monkeypatch.setattr(first.aws.table, "renew_lease", unreachable)
        async with at_work(first) as nursery:
            expires_at = (await lease_of(first)).expires_at
        assert nursery.ended_at < expires_at
        assert not psutil.pid_exists(nursery.pid)
        assert await first.results() == []


async def test_a_worker_that_comes_back_after_its_lease_deletes_nothing_of_the_next(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(stack, tmp_path, lease_seconds=1) as first, bench(stack, tmp_path, **PATIENT) as second:
        await send(first, "fail:data|work:60")
        async with frozen_before_its_decision(first, monkeypatch) as thaw, at_work(second) as nursery:
            held = await lease_of(second)
            assert held.attempt == 2
            await thaw()
            assert await lease_of(second) == held
            assert await second.depth() == (0, 1)
            assert psutil.pid_exists(nursery.pid)
            second.stop.request()
        assert await second.depth() == (1, 0)


async def test_a_worker_that_comes_back_after_the_end_changes_neither_record_nor_result(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(stack, tmp_path, lease_seconds=1) as first, bench(stack, tmp_path, **PATIENT) as second:
        await send(first, "fail:data|succeed")
        async with frozen_before_its_decision(first, monkeypatch) as thaw:
            await second.work_once()
            [result] = await second.results()
            assert (result["status"], result["attempt"]) == ("succeeded", 2)
            before = await items_of(second)
            await thaw()
        assert await items_of(second) == before
        assert await second.results() == []
        assert await second.depth() == (0, 0)
