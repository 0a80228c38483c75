"""Cancelling: a job that no worker holds is decided at once, a held one hears of it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from messages.train import TrainJob
from receipt_dynamo.clock import now
from tests.support.work import Bench, export_bench, training_bench
from workers.jobs.job_record import job_record
from workers.jobs.submit import submit_export, submit_training
from workers.local_aws.local_stack import LocalStack
from workers.operator.cancel import ask_to_cancel, find_cancellable

LONG_AGO = "2026-01-01T00:00:00.000000+00:00"
FAR = "2999-01-01T00:00:00.000000+00:00"


def request(name: str = "job", **fields: Any) -> TrainJob:
    body = {"job_id": str(uuid.uuid4()), "job_name": name, "tags": {"script": "succeed"}, **fields}
    return TrainJob.model_validate(body)


async def hold(bench: Bench, job: TrainJob, until: str) -> None:
    await bench.aws.table.claim_lease(
        job.job_id,
        kind="train",
        claim_id="c",
        worker="other:1",
        now=now(),
        expires_at=until,
        body=job.model_dump_json(exclude_none=True),
    )


async def test_a_waiting_job_is_cancelled_at_once_and_its_message_is_taken_off_later(
    stack: LocalStack, tmp_path: Path
) -> None:
    job = request()
    async with training_bench(stack, tmp_path) as bench:
        await submit_training(bench.settings, job)
        assert await ask_to_cancel(bench.settings, "job") == f"job (job {job.job_id}, pending) is cancelled"
        record = await bench.aws.table.get_job(job.job_id)
        assert (record.status, record.error_message) == ("cancelled", "Cancelled before it started.")
        [result] = await bench.results()
        assert (result["job_id"], result["status"]) == (job.job_id, "cancelled")
        assert await bench.depth() == (1, 0)
        await bench.work_once()
        assert await bench.depth() == (0, 0)
        assert await bench.results() == []  # it went out when the job was cancelled
        assert await ask_to_cancel(bench.settings, job.job_id) == (
            f"job (job {job.job_id}, cancelled) has ended already; nothing to cancel"
        )


async def test_a_waiting_export_is_cancelled_at_once(stack: LocalStack, tmp_path: Path) -> None:
    training = request()
    async with export_bench(stack, tmp_path) as bench:
        await bench.aws.table.add_job(job_record(training, bench.settings.runs / "job/", status="succeeded"))
        export = await submit_export(
            bench.settings, "job", quantize=None, shapes="range", model_s3_uri="s3://b-1/best/", prefix=None
        )
        said = await ask_to_cancel(bench.settings, export.export_id)
        assert said == f"export {export.export_id} (PENDING) is cancelled"
        assert (await bench.aws.table.get_coreml_export_job(export.export_id)).status == "FAILED"
        [result] = await bench.results()
        assert (result["export_id"], result["error_message"]) == (
            export.export_id,
            "Cancelled before it started.",
        )


async def test_a_job_of_a_worker_that_is_gone_is_cancelled_and_that_worker_is_fenced(
    stack: LocalStack, tmp_path: Path
) -> None:
    job = request()
    async with training_bench(stack, tmp_path) as bench:
        await submit_training(bench.settings, job)
        await hold(bench, job, LONG_AGO)
        assert (await ask_to_cancel(bench.settings, "job")).endswith("is cancelled")
        record = await bench.aws.table.get_job(job.job_id)
        assert (record.status, record.attempt, record.error_message) == (
            "cancelled",
            2,
            "Cancelled on request.",
        )


async def test_the_worker_that_holds_a_job_is_named_with_its_lease(stack: LocalStack, tmp_path: Path) -> None:
    job = request()
    async with training_bench(stack, tmp_path) as bench:
        await submit_training(bench.settings, job)
        await hold(bench, job, FAR)
        said = await ask_to_cancel(bench.settings, "job")
        assert "other:1 has it and hears of this within a heartbeat" in said
        assert "cancel again after 2999-01-01T00:00:00 UTC" in said
        lease = await bench.aws.table.get_lease(job.job_id, kind="train")
        assert lease is not None
        assert (lease.state, lease.cancel_requested_at is not None) == ("held", True)


@pytest.mark.parametrize("missing", ["train_results_queue_url", "bucket"])
async def test_without_the_settings_for_its_end_a_job_is_left_to_a_worker(
    stack: LocalStack, tmp_path: Path, missing: str
) -> None:
    job = request()
    async with training_bench(stack, tmp_path) as bench:
        await submit_training(bench.settings, job)
        said = await ask_to_cancel(bench.settings.model_copy(update={missing: None}), "job")
        assert said == f"job (job {job.job_id}, pending) will be cancelled when a worker takes it"
        await bench.work_once()
        [result] = await bench.results()
        assert result["status"] == "cancelled"


async def test_a_name_means_the_newest_job_that_has_not_ended(stack: LocalStack, tmp_path: Path) -> None:
    jobs = [request("twice") for _ in range(3)]
    async with training_bench(stack, tmp_path) as bench:
        for job, status in zip(jobs, ("running", "running", "failed"), strict=True):
            await bench.aws.table.add_job(
                job_record(job, bench.settings.runs / "twice/", status=status)  # type: ignore[arg-type]
            )
        found = await find_cancellable(bench.aws.table, "twice")
        assert (found.owner_id, found.status) == (jobs[1].job_id, "running")
        by_id = await find_cancellable(bench.aws.table, jobs[2].job_id)
        assert (by_id.owner_id, by_id.ended) == (jobs[2].job_id, True)
