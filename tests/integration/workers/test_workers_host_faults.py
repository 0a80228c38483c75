"""Faults of a host: they decide no job, and two different jobs in a row end the worker that has them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from messages.child_protocol import ErrorClass
from messages.codec import decode_train_job
from receipt_dynamo.entities import JobLease
from tests.support.small_files import run_with_small_files
from tests.support.work import Bench, export_bench, training_bench
from workers.errors import CredentialsMissing, EndpointLost, HostUnfit, SettingsError, WorkerError
from workers.jobs.job_record import job_record
from workers.local_aws.local_stack import LocalStack
from workers.runtime import host_faults
from workers.runtime.host_faults import HostFaults
from workers.runtime.outcome import AttemptResult, Ending

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
OTHER_ID = "8a9df1f0-93f2-4b43-93ee-0de7eafbcf0a"
OF_HOST = [one for one in ErrorClass if one.of_host]


def body(script: str, job_id: str = JOB_ID) -> dict[str, Any]:
    return {"job_id": job_id, "job_name": f"run-{job_id}", "tags": {"script": script}}


async def lease_of(bench: Bench, owner_id: str = JOB_ID) -> JobLease:
    lease = await bench.aws.table.get_lease(owner_id, kind=bench.handler.kind.name)
    assert lease is not None
    return lease


@pytest.mark.parametrize("error_class", OF_HOST)
async def test_a_fault_of_the_host_interrupts_the_job_and_does_not_count(
    stack: LocalStack, tmp_path: Path, error_class: ErrorClass
) -> None:
    async with training_bench(stack, tmp_path, max_attempts=2) as bench:
        await bench.send(body(f"attempts:fail:{error_class},fail:{error_class},fail:{error_class},succeed"))
        for _ in range(3):
            await bench.work_once()
            job = await bench.aws.table.get_job(JOB_ID)
            assert job.status == "interrupted"
            assert await bench.results() == []
        lease = await lease_of(bench)
        assert [one["error_class"] for one in lease.failures] == [error_class] * 3
        notes = (await bench.aws.table.list_job_statuses(JOB_ID)).items
        assert f"scripted {error_class}" in [note.message for note in notes]
        await bench.work_once()
        [result] = await bench.results()
        assert (result["status"], result["attempt"]) == ("succeeded", 4)


async def test_an_export_that_fails_for_its_host_is_pending_again(stack: LocalStack, tmp_path: Path) -> None:
    async with export_bench(stack, tmp_path, max_attempts=1) as bench:
        training = decode_train_job(json.dumps(body("succeed")), message_id="")
        place = stack.settings.runs / "demo/"
        await bench.aws.table.add_job(job_record(training, place, status="succeeded"))
        export = {
            "export_id": OTHER_ID,
            "job_id": JOB_ID,
            "model_s3_uri": "s3://bucket/fail:disk/",
            "quantize": None,
            "output_s3_prefix": "s3://bucket/coreml/demo/",
        }
        await bench.send(export)
        await bench.work_once()
        assert (await bench.aws.table.get_coreml_export_job(OTHER_ID)).status == "PENDING"
        assert await bench.results() == []
        assert await bench.depth() == (1, 0)


async def test_a_counted_failure_after_faults_of_the_host_has_all_its_attempts(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, max_attempts=2) as bench:
        await bench.send(body("attempts:fail:setup,fail:clock,fail:throttled,fail:throttled"))
        for _ in range(3):
            await bench.work_once()
            assert await bench.results() == []
        await bench.work_once()
        [result] = await bench.results()
        assert result["error_message"] == (
            "Failed 2 times. attempt 3: scripted throttled | attempt 4: scripted throttled"
        )


@pytest.mark.parametrize(
    ("error_class", "kind", "code"),
    [
        (ErrorClass.SETUP, SettingsError, 78),
        (ErrorClass.CREDENTIALS, CredentialsMissing, 77),
        (ErrorClass.NETWORK, EndpointLost, 69),
        (ErrorClass.DISK, HostUnfit, 71),
        (ErrorClass.CLOCK, HostUnfit, 71),
    ],
)
async def test_two_different_jobs_in_a_row_end_the_worker_with_the_code_of_the_fault(
    stack: LocalStack, tmp_path: Path, error_class: ErrorClass, kind: type[WorkerError], code: int
) -> None:
    async with training_bench(stack, tmp_path, retry_base_seconds=600) as bench:
        await bench.send(body(f"fail:{error_class}"))
        await bench.work_once()
        await bench.send(body(f"fail:{error_class}", OTHER_ID))
        with pytest.raises(kind, match=f"scripted {error_class}") as ended:
            await bench.work_once()
        assert ended.value.exit_code == code
        assert sum(await bench.depth()) == 2
        assert [(await lease_of(bench, one)).state for one in (JOB_ID, OTHER_ID)] == ["free", "free"]


def test_every_class_of_the_host_has_its_ending() -> None:
    assert set(host_faults.ENDS_AS) == set(OF_HOST)


async def test_one_bad_message_alone_never_ends_a_worker(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body("fail:network"))
        for _ in range(4):
            await bench.work_once()
        assert len((await lease_of(bench)).failures) == 4


@pytest.mark.parametrize(
    "between", [Ending.DONE, Ending.NEVER, Ending.LATER, Ending.CANCELLED, Ending.STOPPED]
)
def test_a_job_that_ends_otherwise_clears_the_host(between: Ending) -> None:
    faults = HostFaults()
    at_fault = AttemptResult.failed(ErrorClass.DISK, "full")
    faults.note("a", at_fault)
    faults.note("b", AttemptResult(between))
    faults.note("c", at_fault)
    faults.check()
    faults.note("d", at_fault)
    with pytest.raises(HostUnfit):
        faults.check()


def test_a_lost_lease_says_nothing_of_the_host() -> None:
    faults = HostFaults()
    faults.note("a", AttemptResult.failed(ErrorClass.DISK, "full"))
    faults.note("b", AttemptResult(Ending.LOST))
    faults.note("c", AttemptResult.failed(ErrorClass.DISK, "full"))
    with pytest.raises(HostUnfit):
        faults.check()


def test_a_real_daemon_on_a_full_disk_gives_both_jobs_back_and_ends(
    stack: LocalStack, tmp_path: Path
) -> None:
    """The limit of a file's size stands for the disk: the kernel refuses the write of the job file."""
    sqs, url = stack.client("sqs"), stack.environ["TRAIN_JOB_QUEUE_URL"]
    for job_id in (JOB_ID, OTHER_ID):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body("succeed", job_id)))

    answer = run_with_small_files(
        "-m",
        "layoutlm_cli",
        "train-worker",
        limit_bytes=64,
        environ=stack.child_environ(
            LAYOUTLM_POLL_SECONDS="1", LAYOUTLM_WORK_DIR=str(tmp_path), PYTHONDONTWRITEBYTECODE="1"
        ),
        timeout=120,
    )
    assert answer.returncode == 71, answer.stderr[-2000:]
    last = json.loads(answer.stderr.splitlines()[-1])
    assert (last["event"], last["error_class"]) == ("worker ends", "HostUnfit")
    assert "Two jobs in a row" in last["error"]
    assert "LAYOUTLM_WORK_DIR" in last["error"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    held = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    assert sum(int(held[name]) for name in names) == 2


async def test_a_python_that_is_gone_is_the_hosts_setup_and_not_its_work_directory(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        await bench.send(body("succeed"))
        await bench.work_once()
        [failure] = (await lease_of(bench)).failures
        assert failure["error_class"] == "setup"
        assert "/nowhere/python could not be started" in failure["message"]
        assert "work directory" not in failure["message"]


async def test_a_host_without_descriptors_for_a_child_is_named_as_that(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path) as bench:

        async def refused(*_: object, **__: object) -> None:
            raise BlockingIOError(11, os.strerror(11))

        monkeypatch.setattr(asyncio, "create_subprocess_exec", refused)
        await bench.send(body("succeed"))
        await bench.work_once()
        [failure] = (await lease_of(bench)).failures
        assert failure["error_class"] == "host"
        assert "no room for another process" in failure["message"]


async def test_an_error_of_another_kind_is_not_blamed_on_the_work_directory(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout is an OSError, too."""
    async with training_bench(stack, tmp_path) as bench:

        async def late(*_: object, **__: object) -> None:
            raise TimeoutError("no answer")

        monkeypatch.setattr("workers.runtime.message_processor.supervise", late)
        await bench.send(body("succeed"))
        await bench.work_once()
        lease = await lease_of(bench)
        assert lease.failures == []
        assert lease.state == "held"


async def test_a_work_directory_that_cannot_be_made_names_the_setting(
    stack: LocalStack, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    async with training_bench(stack, tmp_path / "file") as bench:
        job = decode_train_job(json.dumps(body("succeed")), message_id="")
        await bench.aws.table.add_job(job_record(job, stack.settings.runs / "run/", status="pending"))
        await bench.send(body("succeed"))
        await bench.work_once()
        [failure] = (await lease_of(bench)).failures
        assert failure["error_class"] == "disk"
        assert "Free some space there, or set LAYOUTLM_WORK_DIR" in failure["message"]
        assert (await bench.aws.table.get_job(JOB_ID)).status == "interrupted"


async def test_a_work_directory_that_others_may_write_to_is_the_hosts_set_up(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        job = decode_train_job(json.dumps(body("succeed")), message_id="")
        await bench.aws.table.add_job(job_record(job, stack.settings.runs / "run/", status="pending"))
        tmp_path.chmod(0o777)
        await bench.send(body("succeed"))
        await bench.work_once()
        [failure] = (await lease_of(bench)).failures
        assert failure["error_class"] == "setup"
        assert "can be written by other users" in failure["message"]
        assert (await bench.aws.table.get_job(JOB_ID)).status == "interrupted"
