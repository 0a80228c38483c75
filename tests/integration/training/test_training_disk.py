"""A training whose disk is full: a failure that another attempt, on another host, can mend."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import pytest

from messages.child_protocol import ChildExit, ErrorClass, ExportTask, Failure, TrainTask, parse_report
from receipt_dynamo.clock import steady_seconds
from receipt_layoutlm.checkpoint import WEIGHTS
from receipt_layoutlm.source_config import CONFIG
from receipt_layoutlm.tokenizer_files import VOCABULARY
from receipt_layoutlm.training.position_init import FIXED
from run_records.s3_store import S3Store
from tests.support.small_files import run_with_small_files
from tests.support.small_trainings import MakeTask, read_json
from workers.local_aws.local_stack import LocalStack


def run_limited(stack: LocalStack, task: TrainTask | ExportTask, limit_bytes: int, folder: Path) -> Failure:
    """The last report of a child that can write no file larger than `limit_bytes`."""
    package = "training" if isinstance(task, TrainTask) else "coreml"
    job_file = folder / f"{package}-{limit_bytes}.json"
    job_file.write_text(task.model_dump_json(), encoding="utf-8")
    read_end, write_end = os.pipe()  # held open, as a daemon's pipe is
    os.write(write_end, f"{steady_seconds() + 600:.3f}\n".encode())
    try:
        answer = run_with_small_files(
            "-m",
            f"receipt_layoutlm.{package}",
            str(job_file),
            limit_bytes=limit_bytes,
            environ=stack.child_environ(OMP_NUM_THREADS="1"),
            stdin=read_end,
        )
    finally:
        os.close(read_end)
        os.close(write_end)
    assert answer.returncode == ChildExit.RETRY, answer.stderr[-3000:]
    last = parse_report(answer.stdout.splitlines()[-1])
    assert isinstance(last, Failure)
    return last


@pytest.fixture
def whole(aws: LocalStack, make_task: MakeTask, tmp_path: Path) -> str:
    """The best checkpoint of a training without any limit."""
    from tests.integration.training.test_training_child import Child  # noqa: PLC0415

    task = make_task("whole", epochs=1)
    code, _, err = Child(aws, task, tmp_path).finish()
    assert code == ChildExit.DONE, err
    return f"{task.run_s3_uri}best/"


@pytest.fixture
def all_trained(whole: str, storage: S3Store, bucket: str) -> str:
    """The same without fixed tables, so that the optimizer's file is twice as large as the weights'."""
    uri = f"s3://{bucket}/models/plain/"
    for name in (WEIGHTS, VOCABULARY):
        storage.write(uri + name, storage.read(whole + name) or b"")
    config = read_json(storage, whole + CONFIG)
    del config[FIXED]
    storage.write(uri + CONFIG, json.dumps(config).encode())
    return uri


def export_task(bucket: str, checkpoint: str, work_dir: Path) -> ExportTask:
    return ExportTask.model_validate(
        {
            "job": {
                "export_id": str(uuid.uuid4()),
                "job_id": "whole",
                "model_s3_uri": checkpoint,
                "output_s3_prefix": f"s3://{bucket}/coreml/whole/",
            },
            "attempt": 1,
            "training_job_id": "whole",
            "training_job_name": "whole",
            "training_created_at": "2026-01-01T00:00:00.000000+00:00",
            "canonical_bundle_s3_uri": f"s3://{bucket}/coreml/layoutlm-coreml-bundle.zip",
            "allowed_buckets": [bucket],
            "work_dir": str(work_dir),
        }
    )


def test_a_full_disk_under_training_and_export_is_a_full_disk(
    aws: LocalStack,
    make_task: MakeTask,
    storage: S3Store,
    bucket: str,
    whole: str,
    all_trained: str,
    tmp_path: Path,
) -> None:
    of_weights = storage.list_keys(whole)[WEIGHTS]
    training = make_task("saving", epochs=1, pretrained_model=all_trained)
    export = export_task(bucket, whole, tmp_path / "export")
    failures = {
        # The weights still fit, so torch.save of the optimizer is the first to fail.
        "saving": run_limited(aws, training, of_weights + 100_000, tmp_path),
        # Nothing fits but the job file: the receipts of the snapshot are the first to fail.
        "reading": run_limited(aws, make_task("reading"), 4096, tmp_path),
        "fetching": run_limited(aws, export, of_weights // 2, tmp_path),
    }
    assert {name: failure.error_class for name, failure in failures.items()} == dict.fromkeys(
        failures, ErrorClass.DISK
    )
