"""Train messages whose job is held, decided, refused or unreadable: real queue, table and child."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest

from messages.codec import KIND_ATTRIBUTE
from messages.train import TrainJob
from receipt_dynamo.clock import now
from receipt_dynamo.errors import NetworkError, NotFound
from tests.support.train_requests import JOB_ID, body, lease_of, until_running
from tests.support.work import training_bench
from workers.local_aws.local_stack import LocalStack


async def test_the_lease_is_kept_while_a_child_outlives_it(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=5) as bench:
        await bench.send(body("slow:7"))
        await bench.work_once()
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.attempt) == ("succeeded", 1)
        assert await bench.depth() == (0, 0)


async def test_a_lost_lease_ends_the_child_and_writes_and_deletes_nothing(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=6) as bench:
        await bench.send(body("stubborn"))
        working = asyncio.create_task(bench.work_once())
        await until_running(bench)
        lease = await lease_of(bench)
        await bench.aws.table.release_lease(lease, due_at=now())
        taken = await bench.aws.table.claim_lease(
            JOB_ID,
            kind="train",
            claim_id=str(uuid.uuid4()),
            worker="a stranger",
            now=now(),
            expires_at=bench.aws.table.clock.text(60),
            body="{}",
        )
        await asyncio.wait_for(working, 60)
        assert (await lease_of(bench)).claim_id == taken.claim_id
        assert (await bench.aws.table.get_job(JOB_ID)).status == "running"
        assert await bench.results() == []
        assert await bench.depth() == (0, 1)


async def test_a_job_that_is_held_elsewhere_is_left_alone(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.aws.table.claim_lease(
            JOB_ID,
            kind="train",
            claim_id=str(uuid.uuid4()),
            worker="a stranger",
            now=now(),
            expires_at=bench.aws.table.clock.text(60),
            body="{}",
        )
        await bench.send(body())
        await bench.work_once()
        with pytest.raises(NotFound):
            await bench.aws.table.get_job(JOB_ID)
        assert await bench.depth() == (0, 1)


async def test_the_same_message_after_success_sends_the_same_result_and_trains_nothing(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        for _ in range(2):
            await bench.send(body())
            await bench.work_once()
        assert (await bench.aws.table.get_job(JOB_ID)).attempt == 1
        first, again = await bench.results()
        assert first == again
        assert await bench.depth() == (0, 0)


async def test_a_decided_job_whose_worker_died_is_completed_by_the_next(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=5) as bench:
        await bench.send(body())
        with monkeypatch.context() as patch:
            patch.setattr(type(bench.handler.kind), "complete", die)
            await bench.work_once()
        assert (await lease_of(bench)).state == "decided"
        await bench.send(body())
        await bench.work_once()
        assert (await bench.aws.table.get_job(JOB_ID)).status == "succeeded"
        assert len(await bench.results()) == 1
        assert (await lease_of(bench)).state == "closed"


async def die(_kind: object, _record: object) -> None:
    raise NetworkError("the worker died here")


async def test_a_name_that_another_job_uses_is_refused(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body())
        await bench.work_once()
        await bench.send({**body(), "job_id": str(uuid.uuid4())})
        await bench.work_once()
        results = await bench.results()
        assert [result["status"] for result in results] == ["succeeded", "failed"]
        assert results[1]["error_class"] == "name_in_use"
        assert JOB_ID in results[1]["error_message"]


async def test_a_run_or_a_snapshot_over_something_else_is_refused_before_any_child_is_started(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        checkpoint = f"s3://{bench.settings.bucket}/runs/other/best/model.safetensors"
        await bench.send(body(hyperparameters={"dataset_snapshot_save": checkpoint}))
        await bench.work_once()
        [result] = await bench.results()
        assert (result["status"], result["error_class"], result["attempt"]) == ("failed", "forbidden", 1)
        assert f"dataset_snapshot_save leads to {checkpoint}, which overlaps" in result["error_message"]


async def test_a_job_that_was_claimed_too_often_is_failed(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, max_claims=2, max_attempts=100) as bench:
        await bench.send(body("fail:network"))
        for _ in range(3):
            await bench.work_once()
        [result] = await bench.results()
        assert (result["status"], result["error_class"]) == ("failed", "host")
        assert result["error_message"].endswith("Last failure: scripted network")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not json", "body"),
        ("[1, 2]", "body"),
        (json.dumps({"job_name": "../../etc", "surprise": 1}), "surprise"),
        (json.dumps({"job_name": "a", "hyperparameters": {"epochs": -1}}), "hyperparameters.epochs"),
        ("x" * 262_144, "body"),
    ],
)
async def test_an_unreadable_message_is_buried_unchanged_with_its_reason(
    stack: LocalStack, tmp_path: Path, text: str, named: str
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        message_id = await bench.send(text, sender="somebody")
        await bench.work_once()
        answer = await bench.aws.sqs.receive_message(
            QueueUrl=bench.queue.dead_letter_url, MessageAttributeNames=["All"]
        )
        [dead] = answer["Messages"]
        reasons = {name: value["StringValue"] for name, value in dead["MessageAttributes"].items()}
        assert dead["Body"] == text
        assert named in reasons["error_message"]
        assert json.loads(reasons["original_attributes"])["sender"]["value"] == "somebody"
        assert (reasons["error_class"], reasons["original_message_id"]) == ("message", message_id)
        assert await bench.depth() == (0, 0)
        assert await bench.results() == []


async def test_an_unreadable_message_with_an_id_gets_a_result(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send({"job_id": JOB_ID, "job_name": "a/b"})
        await bench.work_once()
        [result] = await bench.results()
        assert (result["job_id"], result["status"]) == (JOB_ID, "failed")
        assert "job_name" in result["error_message"]


async def test_a_message_of_the_other_kind_is_buried(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(), **{KIND_ATTRIBUTE: "export"})
        await bench.work_once()
        assert await bench.depth(bench.queue.dead_letter_url) == (1, 0)


async def test_a_body_without_an_id_is_one_job_however_often_it_comes(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, max_attempts=2) as bench:
        request = {name: value for name, value in body("fail:throttled").items() if name != "job_id"}
        await bench.send(request)
        await bench.work_once()
        await bench.work_once()
        [result] = await bench.results()
        assert result["attempt"] == 2


async def test_the_record_shows_the_request_as_people_read_it(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(hyperparameters={"epochs": "3"}, priority="high"))
        await bench.work_once()
        job = await bench.aws.table.get_job(JOB_ID)
        assert job.job_config["epochs"] == 3
        assert (job.priority, job.tags) == ("high", {"script": "succeed"})
        assert TrainJob.model_validate({**body(), "job_id": JOB_ID}).job_name == job.name
