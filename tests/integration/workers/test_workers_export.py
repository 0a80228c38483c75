"""An export message from its receipt to its end: real queue, table and child."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from messages.train import TrainJob
from receipt_dynamo.clock import now
from receipt_dynamo.errors import NotFound
from tests.support.work import Bench, export_bench
from workers.jobs.job_record import job_record, show_job
from workers.jobs.queue_export import export_record, queue_export
from workers.local_aws.local_stack import LocalStack

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
EXPORT_ID = "11111111-2222-4333-8444-555555555555"


def body(script: str = "succeed", **fields: Any) -> dict[str, Any]:
    return {
        "export_id": EXPORT_ID,
        "job_id": JOB_ID,
        "model_s3_uri": f"s3://bucket/runs/demo/{script}/",
        "quantize": "float16",
        "output_s3_prefix": "s3://bucket/coreml/demo",
        **fields,
    }


async def add_training(bench: Bench) -> None:
    job = TrainJob.model_validate({"job_id": JOB_ID, "job_name": "demo"})
    record = job_record(job, bench.settings.runs / "demo/", status="succeeded")
    await show_job(bench.aws.table, record, 1, results={"best_f1": 0.5})


async def export_of(bench: Bench) -> Any:
    return await bench.aws.table.get_coreml_export_job(EXPORT_ID)


@pytest.mark.parametrize("named", [JOB_ID, "demo"])
async def test_a_finished_export_updates_its_record_and_the_trainings_results(
    stack: LocalStack, tmp_path: Path, named: str
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        await bench.send(body(job_id=named))
        await bench.work_once()
        record = await export_of(bench)
        assert (record.status, record.job_id) == ("SUCCEEDED", JOB_ID)
        assert record.bundle_s3_uri == "s3://bucket/coreml/x/"
        assert record.completed_at is not None
        results = (await bench.aws.table.get_job(JOB_ID)).results
        assert results["coreml_export_id"] == EXPORT_ID
        assert results["coreml_canonical_bundle_etag"] == "abc"
        assert results["best_f1"] == 0.5
        [result] = await bench.results()
        assert (result["status"], result["job_id"], result["model_size_bytes"]) == ("SUCCEEDED", named, 12)
        assert await bench.depth() == (0, 0)


async def test_the_childs_task_says_how_new_and_how_good_the_training_is(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path, cache_bytes=7, canonical_rule="better") as bench:
        await add_training(bench)
        training = await bench.aws.table.get_job(JOB_ID)
        task: Any = await bench.handler.kind.begin(bench.handler.kind.decode(received(body())), 1, "work")
        assert (task.training_created_at, task.training_f1) == (training.created_at, 0.5)
        assert (task.canonical_rule, task.cache_bytes) == ("better", 7)
        assert task.cache_dir == str(tmp_path / "checkpoints")


async def test_a_canonical_zip_that_was_left_as_it_is_is_told_with_the_reason(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        await bench.send(body("kept"))
        await bench.work_once()
        [result] = await bench.results()
        assert (result["status"], result["canonical_bundle_etag"]) == ("SUCCEEDED", "abc")
        assert (result["canonical_bundle_replaced"], result["canonical_bundle_kept"]) == (
            False,
            "It holds a newer one.",
        )
        record = await export_of(bench)
        assert (record.peak_memory_bytes, record.stage_seconds) == (1000, {"converting": 1.5})
        assert (await bench.aws.table.get_job(JOB_ID)).results["coreml_canonical_bundle_replaced"] is False


async def test_an_export_of_other_shapes_leaves_the_trainings_results_alone(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        await bench.send(body("kept", shapes="fixed:128"))
        await bench.work_once()
        record = await export_of(bench)
        assert (record.status, record.shapes) == ("SUCCEEDED", "fixed:128")
        assert "coreml_export_id" not in (await bench.aws.table.get_job(JOB_ID)).results


async def test_a_later_job_that_was_refused_for_its_name_is_not_the_one_that_is_meant(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        refused = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": "demo"})
        await show_job(
            bench.aws.table, job_record(refused, bench.settings.runs / "demo/", status="failed"), 1
        )
        await bench.send(body(job_id="demo"))
        await bench.work_once()
        assert (await export_of(bench)).job_id == JOB_ID


@pytest.mark.parametrize("place", ["runs/other/best/", "coreml/", "runs/demo/best/x/", ""])
async def test_an_export_over_something_else_is_refused_before_any_child_is_started(
    stack: LocalStack, tmp_path: Path, place: str
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        await bench.send(body(output_s3_prefix=f"s3://{bench.settings.bucket}/{place}"))
        await bench.work_once()
        [result] = await bench.results()
        assert (result["status"], result["attempt"]) == ("FAILED", 1)
        assert result["error_class"] in {"forbidden", "configuration"}
        right = f"with output_s3_prefix s3://{bench.settings.bucket}/coreml/demo/, which belongs to demo."
        assert result["error_message"].endswith(right)
        assert (await export_of(bench)).status == "FAILED"
        assert await bench.depth() == (0, 0)


async def test_a_failed_export_says_why_and_leaves_the_training_alone(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        await bench.send(body("fail:checkpoint"))
        await bench.work_once()
        record = await export_of(bench)
        assert (record.status, record.error_message) == ("FAILED", "scripted checkpoint")
        assert "coreml_export_id" not in (await bench.aws.table.get_job(JOB_ID)).results
        [result] = await bench.results()
        assert (result["status"], result["error_message"]) == ("FAILED", "scripted checkpoint")


async def test_an_export_of_an_unknown_job_fails_with_what_to_do(stack: LocalStack, tmp_path: Path) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await bench.send(body(job_id="nobody"))
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == "FAILED"
        assert "nobody" in result["error_message"]
        with pytest.raises(NotFound):
            await export_of(bench)
        assert await bench.depth() == (0, 0)


async def test_a_stopped_export_is_pending_again_and_its_message_visible(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        await bench.send(body("hang"))
        working = asyncio.create_task(bench.work_once())
        for _ in range(500):
            if any(tmp_path.glob("attempts/*/job.json")):
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        bench.stop.request()
        await working
        assert (await export_of(bench)).status == "PENDING"
        assert await bench.depth() == (1, 0)


async def test_the_same_export_twice_is_done_once(stack: LocalStack, tmp_path: Path) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        for _ in range(2):
            await bench.send(body())
            await bench.work_once()
        assert (await export_of(bench)).attempt == 1
        first, again = await bench.results()
        assert first == again


async def test_an_unreadable_export_that_names_its_id_gets_a_result(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await bench.send(body(quantize="int2"))
        await bench.work_once()
        [result] = await bench.results()
        assert (result["export_id"], result["status"]) == (EXPORT_ID, "FAILED")
        await bench.send("{}")
        await bench.work_once()
        assert await bench.results() == []
        assert await bench.depth(bench.queue.dead_letter_url) == (2, 0)


async def test_a_cancelled_export_is_failed_and_says_so(stack: LocalStack, tmp_path: Path) -> None:
    async with export_bench(stack, tmp_path) as bench:
        await add_training(bench)
        await bench.send(body())
        await bench.aws.table.request_cancel(EXPORT_ID, kind="export", now=now())
        await bench.work_once()
        assert (await export_of(bench)).status == "FAILED"
        [result] = await bench.results()
        assert "ancelled" in result["error_message"]


async def test_queueing_an_export_again_sends_nothing_once_it_has_begun(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with export_bench(stack, tmp_path) as bench:
        job = bench.handler.kind.decode(received(body()))
        await queue_export(bench.aws.table, bench.aws.sqs, bench.settings, job)
        await queue_export(bench.aws.table, bench.aws.sqs, bench.settings, job)
        assert await bench.depth() == (2, 0)
        await bench.aws.table.update_coreml_export_status(EXPORT_ID, "RUNNING", attempt=1)
        await queue_export(bench.aws.table, bench.aws.sqs, bench.settings, job)
        assert await bench.depth() == (2, 0)
        assert export_record(job, JOB_ID).status == "PENDING"


def received(content: dict[str, Any]) -> Any:
    import json  # noqa: PLC0415

    from workers.sqs.queue import Received  # noqa: PLC0415

    return Received(message_id=str(uuid.uuid4()), body=json.dumps(content), receipt_handle="")
