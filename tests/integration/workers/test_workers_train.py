"""A train message from its receipt to its end, by the table of endings: real queue, table and child."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from receipt_dynamo.clock import now
from tests.support.train_requests import JOB_ID, body, lease_of, until_running
from tests.support.work import training_bench
from workers.host.oom_kills import count_memory_kills
from workers.local_aws.local_stack import LocalStack


async def test_a_finished_training_is_recorded_reported_and_its_export_queued(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body())
        await bench.work_once()
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.attempt, job.results["best_f1"]) == ("succeeded", 1, 0.75)
        assert job.storage["run_root_prefix"] == "runs/demo/"
        [result] = await bench.results()
        assert (result["status"], result["job_name"], result["best_f1"]) == ("succeeded", "demo", 0.75)
        [export] = await bench.read(str(bench.settings.export_job_queue_url))
        assert export["export_id"] == result["export_id"]
        assert export["model_s3_uri"] == job.results["best_checkpoint_s3_path"]
        record = await bench.aws.table.get_coreml_export_job(export["export_id"])
        assert (record.status, record.job_id) == ("PENDING", JOB_ID)
        assert await bench.depth() == (0, 0)
        assert (await lease_of(bench)).state == "closed"
        assert list((tmp_path / "attempts").iterdir()) == []


@pytest.mark.parametrize("told", [{"auto_export": False}, {"tags": {"skip-coreml-export": "true"}}])
async def test_no_export_is_queued_when_told_not_to(
    stack: LocalStack, tmp_path: Path, told: dict[str, Any]
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(**told))
        await bench.work_once()
        [result] = await bench.results()
        assert "export_id" not in result
        assert await bench.depth(bench.settings.export_job_queue_url) == (0, 0)


@pytest.mark.parametrize("error_class", ["data", "configuration", "checkpoint", "forbidden", "diverged"])
async def test_what_will_never_work_fails_at_once_with_its_reason(
    stack: LocalStack, tmp_path: Path, error_class: str
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(f"fail:{error_class}"))
        await bench.work_once()
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.error_message) == ("failed", f"scripted {error_class}")
        [result] = await bench.results()
        assert (result["error_class"], result["error_message"]) == (error_class, f"scripted {error_class}")
        assert await bench.depth() == (0, 0)


async def test_a_passing_failure_is_tried_again_and_counted_in_the_lease(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, max_attempts=3) as bench:
        await bench.send(body("fail:throttled"))
        await bench.work_once()
        lease = await lease_of(bench)
        assert (lease.state, len(lease.failures)) == ("free", 1)
        assert lease.failures[0]["error_class"] == "throttled"
        assert (await bench.aws.table.get_job(JOB_ID)).status == "running"
        assert await bench.results() == []
        assert await bench.depth() == (1, 0)


async def test_after_the_last_attempt_the_job_fails_with_the_history_of_all(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, max_attempts=3) as bench:
        await bench.send(body("fail:throttled"))
        for _ in range(3):
            await bench.work_once()
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.attempt) == ("failed", 3)
        [result] = await bench.results()
        assert all(f"attempt {n}: scripted throttled" in result["error_message"] for n in (1, 2, 3))
        assert await bench.depth() == (0, 0)


async def test_a_retry_comes_after_a_pause_within_the_bound(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, retry_base_seconds=600) as bench:
        await bench.send(body("fail:network"))
        await bench.work_once()
        visible, hidden = await bench.depth()
        assert visible + hidden == 1


# Where the kernel's kills for memory are counted, it is known that this one is none of them.
KILLED = ("memory", "most likely") if count_memory_kills() is None else ("host", "from outside")


@pytest.mark.parametrize(
    ("script", "error_class", "words"),
    [("kill", *KILLED), ("exit:3", "crashed", "last words"), ("exit:0", "crashed", "exit code 0")],
)
async def test_a_child_that_dies_is_a_failed_attempt_that_says_how(
    stack: LocalStack, tmp_path: Path, script: str, error_class: str, words: str
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(script))
        await bench.work_once()
        [failure] = (await lease_of(bench)).failures
        assert failure["error_class"] == error_class
        assert words in failure["message"]


async def test_noise_on_the_childs_output_is_no_report_and_no_harm(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body("noise"))
        await bench.work_once()
        assert (await bench.aws.table.get_job(JOB_ID)).status == "succeeded"


async def test_a_stop_interrupts_the_job_and_shows_its_message_at_once(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body("hang"))
        working = asyncio.create_task(bench.work_once())
        await until_running(bench)
        bench.stop.request()
        await working
        assert (await bench.aws.table.get_job(JOB_ID)).status == "interrupted"
        lease = await lease_of(bench)
        assert (lease.state, lease.failures) == ("free", [])
        assert await bench.depth() == (1, 0)
        assert await bench.results() == []


async def test_an_interrupted_job_goes_on_with_the_next_attempt(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body("attempts:hang,succeed"))
        working = asyncio.create_task(bench.work_once())
        await until_running(bench)
        bench.stop.request()
        await working
    async with training_bench(stack, tmp_path) as other:
        await other.work_once()
        job = await other.aws.table.get_job(JOB_ID)
        assert (job.status, job.attempt) == ("succeeded", 2)


async def test_a_child_that_will_not_stop_is_ended_after_the_drain(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, drain_seconds=0.3) as bench:
        await bench.send(body("stubborn"))
        working = asyncio.create_task(bench.work_once())
        await until_running(bench)
        bench.stop.request()
        await asyncio.wait_for(working, 60)
        assert (await bench.aws.table.get_job(JOB_ID)).status == "interrupted"


async def test_a_second_signal_skips_the_waiting(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, drain_seconds=600) as bench:
        await bench.send(body("stubborn"))
        working = asyncio.create_task(bench.work_once())
        await until_running(bench)
        bench.stop.request()
        await asyncio.sleep(0.2)
        bench.stop.request()
        await asyncio.wait_for(working, 60)
        assert await bench.depth() == (1, 0)


async def test_a_running_job_is_cancelled_within_a_heartbeat(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=6) as bench:
        await bench.send(body("stubborn"))
        working = asyncio.create_task(bench.work_once())
        await until_running(bench)
        await bench.aws.table.request_cancel(JOB_ID, kind="train", now=now())
        await asyncio.wait_for(working, 60)
        assert (await bench.aws.table.get_job(JOB_ID)).status == "cancelled"
        [result] = await bench.results()
        assert result["status"] == "cancelled"
        assert await bench.depth() == (0, 0)


async def test_a_waiting_job_that_was_cancelled_is_never_started(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body("succeed"))
        await bench.aws.table.request_cancel(JOB_ID, kind="train", now=now())
        await bench.work_once()
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.results) == ("cancelled", {})
        assert [result["status"] for result in await bench.results()] == ["cancelled"]


async def test_an_attempt_past_its_timeout_is_ended_and_failed(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body("stubborn", timeout=1))
        await asyncio.wait_for(bench.work_once(), 15)
        [result] = await bench.results()
        assert (result["status"], result["error_class"]) == ("failed", "timeout")
