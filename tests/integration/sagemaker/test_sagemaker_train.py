"""The container's entry as a process in SageMaker's folders: what it leaves there, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.sagemaker_training import train
from messages.fields import derive_id
from messages.train import TrainJob
from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import Job
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from run_records.s3_store import S3Store
from workers.jobs.job_record import job_record
from workers.local_aws.local_stack import LocalStack
from workers.settings import Settings

ENTRY = Path(train.__file__)
NAME = "layoutlm-on-sagemaker"
JOB_ID = derive_id("train", NAME)
QUICK = {"pretrained_model": "scratch:tiny", "epochs": "1", "allowed_labels": "DATE,GRAND_TOTAL"}
FAR = "2999-01-01T00:00:00.000000+00:00"


@pytest.fixture
def client(stack: LocalStack) -> DynamoClient:
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))


def environ(stack: LocalStack, root: Path, **more: str) -> dict[str, str]:
    more = {"TRAINING_JOB_NAME": NAME, "LAYOUTLM_RETRY_BASE_SECONDS": "0.2", **more}
    return stack.child_environ(SM_ROOT=str(root), LAYOUTLM_WORK_DIR=str(root / "work"), **more)


def start(root: Path, hyperparameters: Mapping[str, str], env: dict[str, str]) -> subprocess.Popen[str]:
    config = root / "input" / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    return subprocess.Popen(
        [sys.executable, str(ENTRY), "train"],
        env={**env, "PYTHONPATH": str(ENTRY.parent.parent.parent)},
        stderr=subprocess.PIPE,
        text=True,
    )


def run(root: Path, hyperparameters: Mapping[str, str], env: dict[str, str]) -> tuple[int, str]:
    process = start(root, hyperparameters, env)
    _, log = process.communicate(timeout=300)
    return process.returncode, log


def failure(root: Path) -> str:
    return (root / "output" / "failure").read_text()


def held_by_a_dead_container(client: DynamoClient, *, until: str) -> None:
    client.claim_lease(
        JOB_ID,
        kind="train",
        claim_id=str(uuid.uuid4()),
        worker="dead:1",
        now="2026-01-01T00:00:00.000000+00:00",
        expires_at=until,
        body=json.dumps({"job_id": JOB_ID, "job_name": NAME}),
        by_hand=True,
    )


def show_job(client: DynamoClient, stack: LocalStack) -> None:
    job = TrainJob.model_validate({"job_id": JOB_ID, "job_name": NAME})
    client.add_job(job_record(job, stack.settings.runs / f"{NAME}/", status="running"))


def test_a_training_leaves_the_best_checkpoint_as_the_model_and_a_second_container_changes_nothing(
    stack: LocalStack, client: DynamoClient, tmp_path: Path
) -> None:
    write_records(client, synthetic.generate(12, 0))
    code, log = run(tmp_path, QUICK, environ(stack, tmp_path))
    assert code == 0, log[-3000:]
    job = client.get_job(JOB_ID)
    assert (job.status, job.name, job.attempt) == ("succeeded", NAME, 1)
    assert job.results["label_list"] == ["O", "B-DATE", "I-DATE", "B-GRAND_TOTAL", "I-GRAND_TOTAL"]
    storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
    best = storage.list_keys(str(job.results["best_checkpoint_s3_path"]))
    model = tmp_path / "model"
    assert {path.name: path.stat().st_size for path in model.iterdir()} == best
    assert "model.safetensors" in best
    assert not (tmp_path / "output").exists()
    assert len(client.get_coreml_export_jobs_for_job(JOB_ID).items) == 1

    again = tmp_path / "again"
    code, log = run(again, QUICK, environ(stack, again))
    assert code == 0, log[-3000:]
    assert client.get_job(JOB_ID) == job
    assert {path.name for path in (again / "model").iterdir()} == set(best)


@pytest.mark.slow
def test_a_container_that_spot_takes_away_is_followed_by_one_that_goes_on(
    stack: LocalStack, client: DynamoClient, tmp_path: Path
) -> None:
    write_records(client, synthetic.generate(12, 0))
    options, env = {**QUICK, "epochs": "12", "early_stopping_patience": "12"}, environ(stack, tmp_path)
    storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
    checkpoints = (stack.settings.runs / f"{NAME}/checkpoints/").uri
    first = start(tmp_path, options, env)
    while first.poll() is None and not any(
        key.endswith("/manifest.json") for key in storage.list_keys(checkpoints)
    ):
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    log = first.communicate(timeout=120)[1]
    assert first.returncode == 83, log[-3000:]
    assert client.get_job(JOB_ID).status == "interrupted"
    assert not (tmp_path / "output").exists()

    code, log = run(tmp_path, options, env)
    assert code == 0, log[-3000:]
    job = client.get_job(JOB_ID)
    assert (job.status, job.attempt) == ("succeeded", 2)
    steps: dict[int | None, list[int]] = {1: [], 2: []}
    for checkpoint in client.list_job_checkpoints(JOB_ID).items:
        steps[checkpoint.attempt].append(checkpoint.step)
    assert max(steps[1]) < min(steps[2])
    assert job.results["best_f1"] is not None


@pytest.mark.parametrize(
    ("hyperparameters", "changes", "code", "said"),
    [
        ({"epochs": "many", "batchsize": "8"}, {}, 65, "hyperparameters.batchsize: is not a field"),
        (QUICK, {"DYNAMO_TABLE_NAME": ""}, 78, "DYNAMO_TABLE_NAME is not set"),
        (QUICK, {"LAYOUTLM_LEASE_SECONDS": "no"}, 78, "LAYOUTLM_LEASE_SECONDS"),
        (QUICK, {"DYNAMO_TABLE_NAME": "nowhere"}, 75, "Create the table, or correct DYNAMO_TABLE_NAME"),
    ],
)
def test_what_cannot_work_ends_with_the_reason_where_sagemaker_looks(
    stack: LocalStack,
    tmp_path: Path,
    hyperparameters: dict[str, str],
    changes: dict[str, str],
    code: int,
    said: str,
) -> None:
    ended, log = run(tmp_path, hyperparameters, environ(stack, tmp_path, **changes))
    assert ended == code, log[-3000:]
    assert said in failure(tmp_path)
    assert "Traceback" not in log
    assert not (tmp_path / "model").exists()


def test_a_container_waits_for_the_lease_of_one_that_was_killed_and_heeds_a_stop_meanwhile(
    stack: LocalStack, client: DynamoClient, tmp_path: Path
) -> None:
    show_job(client, stack)
    held_by_a_dead_container(client, until=FAR)
    process = start(tmp_path, {}, environ(stack, tmp_path, LAYOUTLM_RETRY_BASE_SECONDS="60"))
    assert process.stderr is not None
    for line in process.stderr:
        if "not decided yet" in line:
            break
    process.send_signal(signal.SIGTERM)
    log = process.communicate(timeout=30)[1]
    assert process.returncode == 83, log
    assert not (tmp_path / "output").exists()
    lease = client.get_lease(JOB_ID, kind="train")
    assert lease is not None
    assert lease.worker == "dead:1"


def test_endings_that_decide_nothing_are_tried_again_until_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.from_environ({"LAYOUTLM_RETRY_BASE_SECONDS": "0.001"})
    job = TrainJob.model_validate({"job_id": JOB_ID, "job_name": NAME})
    record: Job = job_record(
        job, Settings.from_environ({"LAYOUTLM_TRAINING_BUCKET": "b"}).runs, status="running"
    )
    endings = ["HELD_ELSEWHERE", "LATER", "HOST_FAULT", "LOST", "NEVER", "DONE"]

    async def ending(*_: Any) -> tuple[str, Job]:
        return endings.pop(0), record

    monkeypatch.setattr(train, "run_locally", ending)
    assert asyncio.run(train.train_to_an_end(settings, job)) == ("NEVER", record)
    assert endings == ["DONE"]


def test_a_job_that_is_refused_fails_with_the_reason_of_its_record(
    stack: LocalStack, client: DynamoClient, tmp_path: Path
) -> None:
    other = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": NAME})
    client.add_job(job_record(other, stack.settings.runs / f"{NAME}/", status="succeeded"))
    code, log = run(tmp_path, QUICK, environ(stack, tmp_path))
    assert code == 65, log[-3000:]
    job = client.get_job(JOB_ID)
    assert job.status == "failed"
    assert failure(tmp_path) == f"{NAME} ended as failed: {job.error_message}"
    assert f"belongs to job {other.job_id}" in failure(tmp_path)


def test_the_image_is_built_of_what_its_ignore_file_lets_through() -> None:
    here = ENTRY.parent
    allowed = (here / "Dockerfile.dockerignore").read_text().split()
    copied = [
        line.split()[1] for line in (here / "Dockerfile").read_text().splitlines() if line.startswith("COPY")
    ]
    assert allowed == ["*", "!dist/*.whl", "!infra/sagemaker_training/train.py"]
    assert copied == ["dist/receipt_layoutlm-*.whl", "infra/sagemaker_training/train.py"]
