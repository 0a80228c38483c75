"""Writes that AWS refuses for a while are retried as long as the worker holds the lease."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from receipt_dynamo.errors import CredentialsError, NetworkError, Throttled
from tests.support.work import Bench, training_bench
from workers.local_aws.local_stack import LocalStack

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
BODY = {"job_id": JOB_ID, "job_name": "demo", "tags": {"script": "succeed"}}


def refusing(bench: Bench, monkeypatch: pytest.MonkeyPatch, operation: str, *errors: Exception) -> list[Any]:
    """Let an operation of the table fail with these errors before it works; returns those still to come."""
    works, left = getattr(bench.aws.table, operation), list(errors)

    async def flaky(*arguments: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return await works(*arguments, **options)

    monkeypatch.setattr(bench.aws.table, operation, flaky)
    return left


@pytest.mark.parametrize("operation", ["claim_run_name", "decide_lease", "update_job_status", "close_lease"])
async def test_a_write_that_aws_cannot_take_now_is_repeated(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        errors = (NetworkError("no route"), Throttled("slow down"), CredentialsError("expired"))
        left = refusing(bench, monkeypatch, operation, *errors)
        await bench.send(BODY)
        await bench.work_once()
        assert left == []
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.attempt) == ("succeeded", 1)
        assert len(await bench.results()) == 1
        assert await bench.depth() == (0, 0)


async def test_a_decision_that_aws_refuses_to_the_end_of_the_lease_is_left_to_the_next_worker(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=4) as bench:
        with monkeypatch.context() as patched:
            for operation in ("decide_lease", "renew_lease"):
                refusing(bench, patched, operation, *[NetworkError("no route")] * 1000)
            await bench.send(BODY)
            await bench.work_once()
        assert await bench.results() == []
        await work_until_ended(bench)
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.attempt) == ("succeeded", 2)
        assert len(await bench.results()) == 1


async def test_an_attempt_that_cannot_begin_for_the_table_counts_and_is_tried_again(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        with monkeypatch.context() as patched:
            patched.setattr("workers.runtime.message_processor.retry_while_leased", once)
            refusing(bench, patched, "claim_run_name", Throttled("slow down"))
            await bench.send(BODY)
            await bench.work_once()
        lease = await bench.aws.table.get_lease(JOB_ID, kind="train")
        assert lease is not None
        assert [failure["error_class"] for failure in lease.failures] == ["throttled"]
        await bench.work_once()
        assert (await bench.aws.table.get_job(JOB_ID)).status == "succeeded"


async def work_until_ended(bench: Bench) -> None:
    """Take what the queue shows until the job has ended."""
    async with asyncio.timeout(60):
        while (lease := await bench.aws.table.get_lease(JOB_ID, kind="train")) is None or (
            lease.state != "closed"
        ):
            await bench.work_once()
            await asyncio.sleep(0.1)


async def once(write: Any, lease: Any) -> Any:
    """Stands for a lease that is over after the first refusal."""
    return await write()


async def test_a_defect_that_one_message_brings_out_leaves_the_worker_to_the_others(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        with monkeypatch.context() as patched:
            refusing(bench, patched, "claim_lease", *[ZeroDivisionError("a defect")])
            await bench.send(BODY)
            await bench.work_once()
        assert bench.handler.health.report().handled == {"LEFT": 1}
        await work_until_ended(bench)
        assert (await bench.aws.table.get_job(JOB_ID)).status == "succeeded"
