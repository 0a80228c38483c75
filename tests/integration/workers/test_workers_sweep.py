"""Jobs that nobody works on and no message stands for: found by their leases and brought back."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from messages.codec import decode_train_job
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobLease
from receipt_dynamo.errors import NetworkError
from tests.support.work import Bench, export_bench, training_bench
from workers.jobs.submit import submit_training
from workers.local_aws.local_stack import LocalStack
from workers.runtime.recovery import register
from workers.sqs.queue import Received

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
SOON: dict[str, Any] = {"orphan_seconds": 0.01}
BODY = {"job_id": JOB_ID, "job_name": "demo", "tags": {"script": "succeed"}}


async def claim(bench: Bench, *, seconds: float, by_hand: bool = False) -> JobLease:
    """Be a worker that claims the job and then dies."""
    return await bench.aws.table.claim_lease(
        JOB_ID,
        kind=bench.handler.kind.name,
        claim_id=str(uuid.uuid4()),
        worker="the dead",
        now=now(),
        expires_at=bench.aws.table.clock.text(seconds),
        body=json.dumps(BODY),
        by_hand=by_hand,
    )


async def lose_message(bench: Bench) -> Received:
    """Take the job's message off the queue as if it had never been there."""
    message = await bench.queue.receive(wait_seconds=1, visibility_seconds=30)
    assert message is not None
    await bench.queue.delete(message)
    return message


async def sweep_until_found(bench: Bench) -> None:
    """Sweep until something is brought back: an HTTP date tells the table's time to about a second."""
    async with asyncio.timeout(5):
        while not await bench.sweep.run():  # noqa: ASYNC110 - the clock tells nobody
            await asyncio.sleep(0.1)


async def lease_of(bench: Bench) -> JobLease:
    lease = await bench.aws.table.get_lease(JOB_ID, kind="train")
    assert lease is not None
    return lease


async def test_a_dead_workers_job_without_a_message_is_put_back_and_done(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        await claim(bench, seconds=-5)
        assert await bench.sweep.run() == 1
        assert (await lease_of(bench)).state == "free"
        await bench.work_once()
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.attempt) == ("succeeded", 2)
        assert await bench.depth() == (0, 0)


async def test_a_put_back_job_shows_as_interrupted_with_the_reason(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        held = await claim(bench, seconds=-5)
        job = decode_train_job(json.dumps(BODY), message_id="m")
        await bench.handler.kind.begin(job, held.attempt, str(tmp_path))
        await bench.sweep.run()
        assert (await bench.aws.table.get_job(JOB_ID)).status == "interrupted"


async def test_a_lease_that_ended_just_now_is_left_to_its_message(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=30) as bench:
        await claim(bench, seconds=-5)
        assert await bench.sweep.run() == 0
        assert (await lease_of(bench)).state == "held"


async def test_of_many_workers_that_sweep_at_once_one_puts_the_job_back(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        await claim(bench, seconds=-5)
        brought_back = await asyncio.gather(*(bench.sweep.run() for _ in range(5)))
        assert sum(brought_back) == 1
        assert await bench.depth() == (1, 0)


async def test_a_submitted_job_whose_message_was_lost_is_done_all_the_same(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, **SOON) as bench:
        await submit_training(bench.settings, decode_train_job(json.dumps(BODY), message_id="m"))
        await lose_message(bench)
        await sweep_until_found(bench)
        await bench.work_once()
        assert (await bench.aws.table.get_job(JOB_ID)).status == "succeeded"


async def test_a_job_that_waits_for_a_retry_is_not_taken_for_lost(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send({**BODY, "tags": {"script": "fail:network"}})
        await bench.work_once()
        assert await bench.sweep.run() == 0


async def test_a_retry_whose_message_was_lost_is_put_back(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, **SOON) as bench:
        await bench.send({**BODY, "tags": {"script": "fail:network"}})
        await bench.work_once()
        await lose_message(bench)
        await sweep_until_found(bench)
        assert await bench.depth() == (1, 0)


async def test_a_decided_job_whose_result_was_never_sent_is_completed_by_the_sweep(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        await bench.send(BODY)
        with monkeypatch.context() as patched:
            patched.setattr(type(bench.handler.kind), "complete", unreachable)
            await bench.work_once()
        assert (await lease_of(bench)).state == "decided"
        assert await bench.results() == []
        await sweep_until_found(bench)
        [result] = await bench.results()
        assert (result["status"], result["attempt"]) == ("succeeded", 1)
        assert (await lease_of(bench)).state == "closed"


async def unreachable(*_: object) -> None:
    raise NetworkError("no route")


async def test_a_job_started_by_hand_is_nobody_elses(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        await claim(bench, seconds=-5, by_hand=True)
        assert await bench.sweep.run() == 0
        assert await bench.depth() == (0, 0)


async def test_a_cancel_that_waits_for_its_job_is_looked_at_once(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.aws.table.request_cancel(JOB_ID, kind="train", now=now())
        await asyncio.sleep(1.1)  # past its moment, however little the table's time is known
        assert await bench.sweep.run() == 0
        assert (await lease_of(bench)).expires_at > bench.aws.table.clock.text(24 * 3600)
        await bench.send(BODY)
        await bench.work_once()
        assert (await bench.aws.table.get_job(JOB_ID)).status == "cancelled"


async def test_a_sweep_of_exports_leaves_trainings_alone(stack: LocalStack, tmp_path: Path) -> None:
    async with export_bench(stack, tmp_path, **SOON) as exports:
        await register(exports.aws.table, exports.settings, "train", JOB_ID, json.dumps(BODY))
        await asyncio.sleep(1.1)
        assert await exports.sweep.run() == 0


async def test_a_sweep_that_aws_refuses_waits_for_the_next(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, sweep_seconds=0.001) as bench:
        sweep = bench.sweep
        await asyncio.sleep(0.01)
        asked = []

        async def refused(*_: object, **__: object) -> list[JobLease]:
            asked.append(1)
            raise NetworkError("no route")

        monkeypatch.setattr(bench.aws.table, "list_leases", refused)
        await sweep.run_if_due()
        assert asked


async def test_a_sweep_comes_once_in_a_while_and_not_at_the_start(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, sweep_seconds=60) as bench:
        before = bench.aws.table.request_count
        await bench.sweep.run_if_due()
        assert bench.aws.table.request_count == before


async def test_a_lease_that_cannot_be_read_does_not_keep_the_next_from_being_found(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, **SOON) as bench:
        broken = str(uuid.uuid4())
        held = await bench.aws.table.claim_lease(
            broken,
            kind="train",
            claim_id="c",
            worker="w",
            now=now(),
            expires_at=bench.aws.table.clock.text(-1),
            body="{}",
        )
        await bench.aws.table.decide_lease(held, outcome="failed", decision={"result": "?"}, now=now())
        await claim(bench, seconds=-60)
        assert await bench.sweep.run() == 1
        assert await bench.depth() == (1, 0)
