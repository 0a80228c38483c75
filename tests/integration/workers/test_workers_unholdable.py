"""Requests and results that the table cannot hold: each job ends once, with its reason."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from messages.codec import decode_train_job, encode
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobLease
from receipt_dynamo.errors import UnwritableItem
from tests.support.work import Bench, export_bench, training_bench
from workers.jobs.job_record import job_record
from workers.jobs.submit import submit_training
from workers.local_aws.local_stack import LocalStack
from workers.runtime.outcome import AttemptResult, Ending
from workers.runtime.recovery import register
from workers.runtime.request_bodies import MOST_BYTES, RequestBodies

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
OTHER_ID = "8a9df1f0-93f2-4b43-93ee-0de7eafbcf0a"
LARGE = "x" * 100_000


def body(script: str = "succeed", job_id: str = JOB_ID, note: str = "", **more: Any) -> dict[str, Any]:
    tags = {
        "script": script,
        **{f"note{at}": note[at : at + len(LARGE)] for at in range(0, len(note), len(LARGE))},
    }
    return {"job_id": job_id, "job_name": f"run-{job_id}", "tags": tags, **more}


def text(job: dict[str, Any]) -> str:
    return encode(decode_train_job(json.dumps(job), message_id=""))


def bodies(bench: Bench) -> RequestBodies:
    return RequestBodies(bench.settings, bench.handler.kind.name)


async def lease_of(bench: Bench, owner_id: str = JOB_ID) -> JobLease:
    lease = await bench.aws.table.get_lease(owner_id, kind=bench.handler.kind.name)
    assert lease is not None
    return lease


def stored(stack: LocalStack) -> list[str]:
    answer = stack.client("s3").list_objects_v2(Bucket=stack.environ["LAYOUTLM_TRAINING_BUCKET"])
    return [one["Key"] for one in answer.get("Contents", ())]


async def claim_and_die(bench: Bench, job: dict[str, Any]) -> JobLease:
    """Be a worker that took the job and died; its message is gone."""
    return await bench.aws.table.claim_lease(
        job["job_id"],
        kind="train",
        claim_id=str(uuid.uuid4()),
        worker="the dead",
        now=now(),
        expires_at=bench.aws.table.clock.text(-5),
        body=await bodies(bench).keep(job["job_id"], text(job)),
    )


@pytest.mark.parametrize(
    "hyperparameters", [{"learning_rate": "1e-200"}, {"weight_decay": 1e-131}, {"label_smoothing": "3e-308"}]
)
async def test_a_number_that_the_table_cannot_hold_fails_the_job_with_its_name(
    stack: LocalStack, tmp_path: Path, hyperparameters: dict[str, Any]
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(hyperparameters=hyperparameters))
        await bench.work_once()
        [result] = await bench.results()
        [name] = hyperparameters
        assert (result["status"], result["error_class"]) == ("failed", "configuration")
        assert result["error_message"].startswith("The table cannot hold this request:")
        assert f"job_config.{name}" in result["error_message"]
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.error_message) == ("failed", result["error_message"])
        assert name in job.job_config["not_recorded"]
        assert (await lease_of(bench)).state == "closed"
        assert await bench.depth() == (0, 0)


async def test_the_command_line_tells_such_a_number_before_it_sends(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        job = decode_train_job(text(body(hyperparameters={"learning_rate": "1e-200"})), message_id="")
        with pytest.raises(UnwritableItem, match="learning_rate"):
            await submit_training(bench.settings, job)
        assert await bench.depth() == (0, 0)


async def test_a_request_larger_than_a_lease_may_hold_is_trained(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(note=LARGE * 3))
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == "succeeded"
        lease = await lease_of(bench)
        [key] = stored(stack)
        assert (lease.state, lease.body) == ("closed", f"s3://{bench.settings.bucket}/{key}")
        assert key.startswith(f"runs/.requests/{JOB_ID}/")
        assert (await bench.aws.table.get_job(JOB_ID)).tags == body(note=LARGE * 3)["tags"]


async def test_a_request_of_sqs_whole_size_is_decided_with_its_reason(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(note=LARGE * 10))
        await bench.work_once()
        [result] = await bench.results()
        assert (result["status"], result["error_class"]) == ("failed", "configuration")
        assert "Item size has exceeded" in result["error_message"]
        assert (await bench.aws.table.get_job(JOB_ID)).status == "failed"
        assert await bench.depth() == (0, 0)
        assert await bench.depth(bench.queue.dead_letter_url) == (0, 0)


async def test_a_large_request_that_comes_again_is_known_and_another_one_is_not(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        for note in ("x", "x", "y"):
            await bench.send(body(note=note * 100_000))
            await bench.work_once()
        assert [one["status"] for one in await bench.results()] == ["succeeded"] * 2
        assert await bench.depth(bench.queue.dead_letter_url) == (1, 0)
        assert await bench.depth() == (0, 0)


async def test_a_dead_workers_large_request_is_put_back_whole(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        await claim_and_die(bench, body(note=LARGE))
        assert await bench.sweep.run() == 1
        await bench.work_once()
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.attempt, job.tags["note0"]) == ("succeeded", 2, LARGE)


async def test_a_decided_job_of_a_large_request_is_completed_by_the_sweep(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        lease = await claim_and_die(bench, body(note=LARGE))
        job = decode_train_job(text(body(note=LARGE)), message_id="")
        decision = bench.handler.kind.decide(job, 1, AttemptResult(Ending.CANCELLED, message="enough"))
        await bench.aws.table.decide_lease(lease, outcome="cancelled", decision=decision, now=now())
        assert await bench.sweep.run() == 1
        [result] = await bench.results()
        assert result["status"] == "cancelled"
        assert (await bench.aws.table.get_job(JOB_ID)).tags["note0"] == LARGE


async def test_a_request_that_is_gone_from_the_bucket_does_not_keep_others_from_being_found(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        await claim_and_die(bench, body(note=LARGE))
        [key] = stored(stack)
        stack.client("s3").delete_object(Bucket=bench.settings.bucket, Key=key)
        await claim_and_die(bench, body(job_id=OTHER_ID))
        assert await bench.sweep.run() == 1
        await bench.work_once()
        assert (await bench.aws.table.get_job(OTHER_ID)).status == "succeeded"


async def test_a_large_request_is_noted_when_it_is_sent(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await register(bench.aws.table, bench.settings, "train", JOB_ID, text(body(note=LARGE)))
        lease = await lease_of(bench)
        assert lease.body_s3_uri is not None
        assert (await bodies(bench).read(lease)).body == text(body(note=LARGE))


async def test_a_sender_who_may_not_write_to_the_bucket_goes_without_a_note(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        settings = bench.settings.model_copy(update={"bucket": "nobodys-bucket"})
        await register(bench.aws.table, settings, "train", JOB_ID, text(body(note=LARGE)))
        assert await bench.aws.table.get_lease(JOB_ID, kind="train") is None


async def test_a_bucket_that_refuses_a_large_request_leaves_its_message(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, bucket="nobodys-bucket") as bench:
        await bench.send(body(note=LARGE))
        await bench.work_once()
        assert sum(await bench.depth()) == 1
        assert await bench.results() == []
        assert await bench.aws.table.get_lease(JOB_ID, kind="train") is None


@pytest.mark.parametrize("size", [500_000, 1_040_000])
async def test_an_unreadable_body_of_any_size_is_buried_whole(
    stack: LocalStack, tmp_path: Path, size: int
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send("x" * size)
        await bench.work_once()
        answer = await bench.aws.sqs.receive_message(QueueUrl=bench.queue.dead_letter_url)
        assert [len(one["Body"]) for one in answer["Messages"]] == [size]
        assert await bench.depth() == (0, 0)


async def test_an_export_in_a_body_of_half_a_megabyte_is_like_any_other(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        await bench.send(json.dumps(export("succeed")) + " " * 500_000)
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == "SUCCEEDED"
        assert len(str((await lease_of(bench, OTHER_ID)).body)) < MOST_BYTES


async def test_an_export_whose_figures_the_table_cannot_hold_ends_once_all_the_same(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        await bench.send(export("odd"))
        await bench.work_once()
        [result] = await bench.results()
        record = await bench.aws.table.get_coreml_export_job(OTHER_ID)
        assert (result["status"], record.status) == ("SUCCEEDED", "SUCCEEDED")
        assert await bench.depth() == (0, 0)


async def test_progress_that_the_table_cannot_hold_does_not_cost_the_lease(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=6) as bench:
        await bench.send(body("odd progress:7"))
        await bench.work_once()
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.attempt) == ("succeeded", 1)


async def test_a_training_that_succeeded_keeps_what_the_table_can_hold_of_its_results(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body("odd results"))
        await bench.work_once()
        [result] = await bench.results()
        assert (result["status"], result["best_f1"]) == ("succeeded", 0.75)
        job = await bench.aws.table.get_job(JOB_ID)
        assert (job.status, job.results["best_f1"]) == ("succeeded", 0.75)
        assert not {"curve", "total_flos"} & set(job.results)
        assert await bench.depth() == (0, 0)


async def add_training(bench: Bench) -> None:
    training = decode_train_job(text(body()), message_id="")
    await bench.aws.table.add_job(job_record(training, bench.settings.runs / "demo/", status="succeeded"))


def export(script: str) -> dict[str, Any]:
    return {
        "export_id": OTHER_ID,
        "job_id": JOB_ID,
        "model_s3_uri": f"s3://bucket/{script}/",
        "quantize": None,
        "output_s3_prefix": "s3://bucket/coreml/demo/",
    }
