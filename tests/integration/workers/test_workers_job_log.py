"""A job's log: an ERROR line of every failed attempt, and a last line with the final status."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.train_requests import JOB_ID, body, lease_of
from tests.support.work import Bench, training_bench
from workers.local_aws.local_stack import LocalStack


async def log_of(bench: Bench) -> list[dict[str, Any]]:
    return [
        {"level": line.log_level, "message": line.message, "attempt": line.attempt}
        for line in (await bench.aws.table.list_job_logs(JOB_ID)).items
    ]


async def test_each_failed_attempt_leaves_its_reason_and_the_last_line_the_status(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, max_attempts=2) as bench:
        await bench.send(body("fail:throttled"))
        await bench.work_once()
        assert await log_of(bench) == [{"level": "ERROR", "message": "scripted throttled", "attempt": 1}]
        await bench.work_once()
        _, last_failure, summary = await log_of(bench)
        assert (last_failure["level"], last_failure["attempt"]) == ("ERROR", 2)
        assert "Failed 2 times. attempt 1: scripted throttled" in last_failure["message"]
        said = json.loads(summary["message"])
        assert (said["type"], said["status"], said["error_class"]) == ("run_summary", "failed", "throttled")
        assert said["error_message"] == last_failure["message"]


async def test_a_child_that_is_killed_leaves_a_line_that_it_could_not_write(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body("exit:3"))
        await bench.work_once()
        [line] = await log_of(bench)
        assert line["level"] == "ERROR"
        assert line["message"] == (await lease_of(bench)).failures[0]["message"]


async def test_completing_a_job_again_adds_no_line(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body("fail:data"))
        await bench.work_once()
        before = await log_of(bench)
        closed = await lease_of(bench)
        for record in (closed, closed):
            await bench.handler.kind.complete(reopened(record))
        assert await log_of(bench) == before
        assert [line["level"] for line in before] == ["ERROR", "INFO"]


def reopened(record: Any) -> Any:
    return replace(record, state="decided", body=json.dumps(body("fail:data")))


async def test_a_cancelled_job_ends_its_log_with_that_status(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body())
        await bench.aws.table.request_cancel(JOB_ID, kind="train", now="2026-01-01T00:00:00.000000+00:00")
        await bench.work_once()
        lines = await log_of(bench)
        assert json.loads(lines[-1]["message"])["status"] == "cancelled"
        assert not any(line["level"] == "ERROR" for line in lines)
