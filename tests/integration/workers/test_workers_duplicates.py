"""One job asked for twice, one id by two senders, one name by two jobs."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

from receipt_dynamo.clock import now
from receipt_dynamo.entities import RunName
from receipt_dynamo.errors import NotFound
from tests.support.work import Bench, training_bench
from workers.local_aws.local_stack import LocalStack

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"


def body(job_id: str = JOB_ID, *, script: str = "succeed", **fields: Any) -> dict[str, Any]:
    return {"job_id": job_id, "job_name": "demo", "tags": {"script": script}, **fields}


async def buried(bench: Bench) -> list[dict[str, Any]]:
    return await bench.read(bench.queue.dead_letter_url)


async def status_of(bench: Bench, job_id: str) -> str:
    try:
        return str((await bench.aws.table.get_job(job_id)).status)
    except NotFound:
        return "none"


async def test_a_second_request_under_an_id_that_waits_is_buried_and_the_first_one_done(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(script="fail:network"))
        await bench.work_once()
        first = await bench.queue.receive(wait_seconds=0, visibility_seconds=1)
        assert first is not None
        await bench.send(body(hyperparameters={"epochs": 3}))
        await bench.work_once()
        [letter] = await buried(bench)
        assert letter["hyperparameters"] == {"epochs": 3}
        assert await bench.results() == []
        lease = await bench.aws.table.get_lease(JOB_ID, kind="train")
        assert lease is not None
        assert (lease.state, len(lease.failures)) == ("free", 1)


async def test_a_second_request_under_the_id_of_a_finished_job_gets_no_result_of_that_job(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body())
        await bench.work_once()
        assert len(await bench.results()) == 1
        await bench.send(body(hyperparameters={"epochs": 3}))
        await bench.work_once()
        assert len(await buried(bench)) == 1
        assert await bench.results() == []
        assert await bench.depth() == (0, 0)


async def test_the_same_request_written_differently_is_the_same_request(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(hyperparameters={"epochs": "10", "learning_rate": "5e-5"}))
        await bench.work_once()
        await bench.send(body(hyperparameters={"learning_rate": 0.00005, "epochs": 10}))
        await bench.work_once()
        assert await buried(bench) == []
        assert len(await bench.results()) == 2  # the stored one, again


async def test_of_two_jobs_that_take_a_new_name_at_the_same_moment_one_gets_it(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        ids = [str(uuid.uuid4()) for _ in range(4)]
        for one in ids:
            await bench.send(body(one, script="slow:0.5"))
        await asyncio.gather(*(bench.work_once() for _ in ids))
        results = await bench.results()
        assert sorted(one["status"] for one in results) == ["failed", "failed", "failed", "succeeded"]
        assert {one.get("error_class") for one in results if one["status"] == "failed"} == {"name_in_use"}


async def test_a_name_passes_on_from_a_job_that_failed(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        second = str(uuid.uuid4())
        await bench.send(body(script="fail:data"))
        await bench.send(body(second))
        await bench.work_once()
        await bench.work_once()
        assert (await status_of(bench, JOB_ID), await status_of(bench, second)) == ("failed", "succeeded")


async def test_a_name_that_is_taken_but_has_no_record_yet_is_taken(stack: LocalStack, tmp_path: Path) -> None:

    async with training_bench(stack, tmp_path) as bench:
        other = RunName(name="demo", job_id=str(uuid.uuid4()), claimed_at=now())
        await bench.aws.table.claim_run_name(other)
        await bench.send(body())
        await bench.work_once()
        [result] = await bench.results()
        assert result["error_class"] == "name_in_use"
        assert other.job_id in result["error_message"]
