"""Records that other software has damaged: jobs are decided all the same, and none keeps another from it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from messages.export import ExportJob
from messages.train import TrainJob
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobLease, RunName
from receipt_dynamo.errors import NetworkError
from receipt_dynamo.requests.leases import lease_key
from receipt_dynamo.requests.records import export_key, job_key
from tests.support.damage import damage, put_items
from tests.support.work import Bench, export_bench, training_bench
from workers.jobs.job_record import job_record
from workers.jobs.queue_export import export_record, queue_export
from workers.local_aws.local_stack import LocalStack

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
OTHER_ID = "7f1f1d3a-9f0e-4b6b-8f4c-2d3a1b0c9d8e"
EXPORT_ID = "11111111-2222-4333-8444-555555555555"
DAMAGES: dict[str, dict[str, Any]] = {
    "tags as a set": {"tags": {"SS": ["a", "b"]}},
    "results as text": {"results": {"S": "best_f1=0.8"}},
    "job_config as text": {"job_config": {"S": "{}"}},
    "attempt as text": {"attempt": {"S": "first"}},
    "no priority": {"priority": None},
}


def body(job_id: str = JOB_ID) -> dict[str, Any]:
    return {"job_id": job_id, "job_name": "demo", "tags": {"script": "succeed"}}


async def add_job(bench: Bench, job_id: str, status: Any) -> None:
    job = TrainJob.model_validate({"job_id": job_id, "job_name": "demo"})
    await bench.aws.table.add_job(job_record(job, bench.settings.runs / "demo/", status=status))


async def claim(bench: Bench, owner_id: str, *, lasted: float = -60) -> JobLease:
    return await bench.aws.table.claim_lease(
        owner_id,
        kind="train",
        claim_id=str(uuid.uuid4()),
        worker="the dead",
        now=now(),
        expires_at=bench.aws.table.clock.text(lasted),
        body=json.dumps({**body(owner_id), "job_name": owner_id}),
    )


@pytest.mark.parametrize("changes", DAMAGES.values(), ids=DAMAGES)
async def test_a_job_whose_own_record_is_damaged_is_decided(
    stack: LocalStack, tmp_path: Path, changes: dict[str, Any]
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await add_job(bench, JOB_ID, "pending")
        damage(stack, job_key(JOB_ID), **changes)
        await bench.send(body())
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == "succeeded"
        assert await bench.aws.table.get_job_status(JOB_ID) == "succeeded"
        assert await bench.depth() == (0, 0)


@pytest.mark.parametrize(
    ("status", "ending"),
    [("succeeded", "failed"), ("paused", "failed"), (None, "failed"), ("cancelled", "succeeded")],
)
async def test_a_name_of_a_damaged_record_is_kept_for_it_unless_that_job_was_no_success(
    stack: LocalStack, tmp_path: Path, status: str | None, ending: str
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await add_job(bench, OTHER_ID, "pending")
        written = None if status is None else {"S": status}
        damage(stack, job_key(OTHER_ID), status=written, tags={"SS": ["a"]}, job_config={"S": "{}"})
        await bench.send(body())
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == ending
        if ending == "failed":
            assert (result["error_class"], OTHER_ID in result["error_message"]) == ("name_in_use", True)
        assert await bench.depth() == (0, 0)


async def test_a_name_whose_owner_cannot_be_read_is_refused_with_what_to_do(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        taken = RunName(name="demo", job_id=OTHER_ID, claimed_at=now())
        put_items(stack, {**taken.to_item(), "job_id": {"S": "that one"}})
        await bench.send(body())
        await bench.work_once()
        [result] = await bench.results()
        assert result["error_class"] == "name_in_use"
        assert "RUN_NAME#demo" in result["error_message"]
        assert "another name" in result["error_message"]


async def test_a_message_whose_lease_cannot_be_read_is_put_away_with_what_to_do(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await claim(bench, JOB_ID)
        damage(stack, lease_key("train", JOB_ID), failures={"S": "none"})
        await bench.send(body())
        await bench.work_once()
        assert await bench.depth() == (0, 0)
        sqs, letters = bench.aws.sqs, bench.queue.dead_letter_url
        answer = await sqs.receive_message(QueueUrl=letters, MessageAttributeNames=["All"])
        [letter] = answer["Messages"]
        said = letter["MessageAttributes"]["error_message"]["StringValue"]
        assert "'failures'" in said
        assert "dlq redrive" in said


@pytest.mark.parametrize(
    "changes",
    [
        {"TYPE": None},
        {"attempt": {"S": "1"}},
        {"failures": {"S": ""}},
        {"claim_id": {"N": "1"}},
        {"kind": None},
        {"kind": {"S": "trian"}},
        {"kind": {"NULL": True}},
    ],
)
async def test_an_overdue_lease_that_cannot_be_read_keeps_no_other_from_being_recovered(
    stack: LocalStack, tmp_path: Path, changes: dict[str, Any]
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        await claim(bench, OTHER_ID, lasted=-90)
        await claim(bench, JOB_ID)
        damage(stack, lease_key("train", OTHER_ID), **changes)
        with capture_logs() as lines:
            assert await bench.sweep.run() == 1
        [said] = [line for line in lines if line["event"] == "leases that cannot be read"]
        assert (said["leases"], OTHER_ID in said["error"]) == (1, True)
        assert await bench.depth() == (1, 0)


async def test_a_put_back_that_aws_refuses_keeps_no_other_from_being_recovered(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        await claim(bench, OTHER_ID, lasted=-90)
        await claim(bench, JOB_ID)
        postpone = bench.aws.table.postpone_lease

        async def refuse_one(seen: JobLease, *, due_at: str) -> JobLease:
            if seen.owner_id == OTHER_ID:
                raise NetworkError("no route")
            return await postpone(seen, due_at=due_at)

        monkeypatch.setattr(bench.aws.table, "postpone_lease", refuse_one)
        with capture_logs() as lines, pytest.raises(NetworkError, match="no route"):
            await bench.sweep.run()
        [said] = [line for line in lines if "not brought back" in line["event"]]
        assert said["job_id"] == OTHER_ID
        assert await bench.depth() == (1, 0)


def export_body() -> dict[str, Any]:
    return {
        "export_id": EXPORT_ID,
        "job_id": JOB_ID,
        "model_s3_uri": "s3://bucket/runs/demo/succeed/",
        "quantize": "float16",
        "output_s3_prefix": "s3://bucket/coreml/demo",
    }


async def test_an_export_of_a_training_that_cannot_be_read_is_failed_with_the_reason(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_job(bench, JOB_ID, "succeeded")
        damage(stack, job_key(JOB_ID), **DAMAGES["tags as a set"])
        job = ExportJob.model_validate(export_body())
        await queue_export(bench.aws.table, bench.aws.sqs, bench.settings, job)
        await bench.work_once()
        [result] = await bench.results()
        assert (result["status"], result["error_class"]) == ("FAILED", "data")
        assert "'tags'" in result["error_message"]
        assert (await bench.aws.table.get_coreml_export_job(EXPORT_ID)).status == "FAILED"
        assert await bench.depth() == (0, 0)


async def test_an_export_whose_own_record_is_damaged_is_queued_and_done(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_job(bench, JOB_ID, "succeeded")
        job = ExportJob.model_validate(export_body())
        await bench.aws.table.add_coreml_export_job(export_record(job, JOB_ID))
        damage(stack, export_key(EXPORT_ID), model_s3_uri=None, attempt={"S": "first"})
        await queue_export(bench.aws.table, bench.aws.sqs, bench.settings, job)
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == "SUCCEEDED"
