"""Jobs longer than SQS keeps a message, and children that say nothing any more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from receipt_dynamo.entities import JobLease
from receipt_dynamo.errors import NetworkError
from tests.support.work import Bench, training_bench
from workers.errors import QueueError, QueueUnusable
from workers.health import Health
from workers.local_aws.local_stack import LocalStack
from workers.runtime.deferral import seconds_until_due
from workers.sqs.queue import Received

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
LEASE_SECONDS = 6.0
"""Longer than a claim takes on a loaded machine; the first renewal comes after a third of it."""
LONG: dict[str, Any] = {"lease_seconds": LEASE_SECONDS, "message_seconds": 0.1}
"""The first renewal finds that the message has been out for too long."""


def body(script: str) -> dict[str, Any]:
    return {"job_id": JOB_ID, "job_name": "demo", "tags": {"script": script}}


async def lease_of(bench: Bench) -> JobLease:
    lease = await bench.aws.table.get_lease(JOB_ID, kind="train")
    assert lease is not None
    return lease


async def until_message_is_gone(bench: Bench) -> None:
    async with asyncio.timeout(60):
        while await bench.depth() != (0, 0):  # noqa: ASYNC110 - SQS tells nobody
            await asyncio.sleep(0.05)


async def test_a_long_jobs_message_is_deleted_and_the_lease_carries_it_to_its_end(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, **LONG) as bench:
        await bench.send(body("hang"))
        working = asyncio.create_task(bench.work_once())
        await until_message_is_gone(bench)
        assert not working.done()
        assert (await lease_of(bench)).state == "held"
        await bench.aws.table.request_cancel(JOB_ID, kind="train", now=bench.aws.table.clock.text())
        await working
        assert (await bench.aws.table.get_job(JOB_ID)).status == "cancelled"
        assert await bench.depth() == (0, 0)


async def test_a_long_job_that_is_stopped_goes_back_to_the_queue_as_a_new_message(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, **LONG) as bench:
        await bench.send(body("hang"))
        working = asyncio.create_task(bench.work_once())
        await until_message_is_gone(bench)
        bench.stop.request()
        await working
        assert (await bench.aws.table.get_job(JOB_ID)).status == "interrupted"
        assert await bench.depth() == (1, 0)
        again = await bench.queue.receive(wait_seconds=0, visibility_seconds=30)
        assert again is not None
        assert bench.handler.kind.decode(again).job_id == JOB_ID


async def test_a_long_job_whose_new_message_cannot_be_sent_keeps_its_lease_until_it_can(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, **LONG) as bench:
        put, refusals = bench.queue.put, [QueueError("down"), QueueError("down")]

        async def flaky(*arguments: Any, **options: Any) -> None:
            if refusals:
                raise refusals.pop()
            await put(*arguments, **options)

        monkeypatch.setattr(bench.queue, "put", flaky)
        await bench.send(body("hang"))
        working = asyncio.create_task(bench.work_once())
        await until_message_is_gone(bench)
        bench.stop.request()
        await working
        assert not refusals
        assert await bench.depth() == (1, 0)
        assert (await lease_of(bench)).state == "free"


async def test_a_long_backoff_after_the_message_was_deleted_is_not_cut(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "workers.runtime.completion.MAX_DELAY_SECONDS", 0
    )  # else the test waits for a quarter of an hour
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    more: dict[str, Any] = {"retry_base_seconds": 3600, "retry_max_seconds": 7200}
    async with training_bench(stack, tmp_path, **LONG, **more) as bench:
        await bench.send(body("late"))
        await bench.work_once()
        assert (await lease_of(bench)).state == "free"
        assert await bench.depth() == (1, 0)
        await bench.work_once()
        assert await bench.depth() == (0, 1)
        assert (await lease_of(bench)).attempt == 1
        assert bench.handler.health.report().handled == {"LATER": 1, "NOT_DUE": 1}


async def test_a_backoff_beyond_the_twelve_hours_of_a_receive_sends_the_message_afresh(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.runtime.completion.MAX_DELAY_SECONDS", 0)
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    more: dict[str, Any] = {"retry_base_seconds": 43_190, "retry_max_seconds": 43_200}
    async with training_bench(stack, tmp_path, **more) as bench:
        first = await bench.send(body("fail:throttled"))
        await bench.work_once()
        again = await bench.queue.receive(wait_seconds=0, visibility_seconds=30)
        assert again is not None
        assert again.message_id != first
        assert 43_000 < seconds_until_due(again, bench.aws.table.clock.now()) < 43_192
        assert await bench.depth() == (0, 1)


async def test_a_message_that_aws_keeps_from_being_handled_is_hidden_for_longer_each_time(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        hidden = []
        show_after = bench.queue.show_after

        async def noted(message: Received, seconds: float) -> bool:
            hidden.append(seconds)
            return await show_after(message, 0)

        async def down(*_: object, **__: object) -> JobLease:
            raise NetworkError("the table does not answer")

        monkeypatch.setattr(bench.queue, "show_after", noted)
        monkeypatch.setattr(bench.aws.table, "claim_lease", down)
        await bench.send(body("succeed"))
        for _ in range(3):
            await bench.work_once()
        assert hidden == [1, 15, 30]
        assert await bench.depth() == (1, 0)


async def test_a_child_that_says_nothing_is_ended_and_the_attempt_counted(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, stall_seconds=3) as bench:
        await bench.send(body("stubborn"))
        await asyncio.wait_for(bench.work_once(), 60)
        [failure] = (await lease_of(bench)).failures
        assert failure["error_class"] == "stalled"
        assert "nothing for 3 seconds; it was training" in failure["message"]
        assert await bench.depth() == (1, 0)


async def test_a_child_that_reports_now_and_then_is_left_to_work(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, stall_seconds=1.5) as bench:
        await bench.send(body("chatty:2.5"))
        await bench.work_once()
        assert (await bench.aws.table.get_job(JOB_ID)).status == "succeeded"


async def test_a_renewal_writes_where_the_child_is(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=LEASE_SECONDS) as bench:
        await bench.send(body("chatty:6"))
        working = asyncio.create_task(bench.work_once())
        await asyncio.sleep(0.5)  # until it has claimed
        async with asyncio.timeout(20):
            while (await lease_of(bench)).progress is None:  # noqa: ASYNC110 - a table tells nobody
                await asyncio.sleep(0.1)
        lease = await lease_of(bench)
        assert lease.progress is not None
        assert (lease.progress["stage"], lease.progress["attempt"]) == ("training", 1)
        assert lease.progress["at"] < lease.expires_at
        await working


async def test_a_queue_that_is_deleted_under_a_running_job_does_not_cost_the_lease(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=LEASE_SECONDS) as bench:
        asked = []

        async def gone(*_: object) -> bool:
            asked.append(1)
            raise QueueUnusable("there is no such queue")

        await bench.send(body("slow:6"))
        with monkeypatch.context() as patched:
            patched.setattr(bench.queue, "show_after", gone)
            await bench.work_once()
        assert asked
        assert (await bench.aws.table.get_job(JOB_ID)).status == "succeeded"


async def test_a_heartbeat_that_fails_in_an_unforeseen_way_loses_the_lease(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=LEASE_SECONDS) as bench:

        async def broken(*_: object, **__: object) -> JobLease:
            raise RuntimeError("a defect")

        monkeypatch.setattr(bench.aws.table, "renew_lease", broken)
        await bench.send(body("stubborn"))
        await asyncio.wait_for(bench.work_once(), 60)
        assert await bench.results() == []
        assert (await lease_of(bench)).state == "held"


async def test_a_cancel_during_the_drain_ends_the_job_instead_of_handing_it_on(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=LEASE_SECONDS) as bench:
        spoke = asyncio.Event()
        monkeypatch.setattr(Health, "record_report", lambda _: spoke.set())
        await bench.send(body("stubborn"))
        working = asyncio.create_task(bench.work_once())
        await asyncio.wait_for(spoke.wait(), 60)
        bench.stop.request()
        await bench.aws.table.request_cancel(JOB_ID, kind="train", now=bench.aws.table.clock.text())
        await asyncio.wait_for(working, 60)
        assert (await bench.aws.table.get_job(JOB_ID)).status == "cancelled"
        assert await bench.depth() == (0, 0)
