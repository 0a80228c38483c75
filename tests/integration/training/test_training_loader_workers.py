"""Processes that prepare batches, on hosts with little /dev/shm or none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from messages.child_protocol import ChildExit, Trained, parse_report
from receipt_dynamo.clock import steady_seconds
from receipt_layoutlm.training.speed.loader_workers import PipedBatch, startable_workers
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask, read_json, what_was_learned
from workers.local_aws.local_stack import LocalStack

# A file system of its own for the process at the end of the command, as large and as full as is said.
SMALL = (
    'mount -t tmpfs -o size="$1" tmpfs /dev/shm && head -c "$2" /dev/zero > /dev/shm/filler && shift 2 && '
    'exec "$@"'
)


def with_shm(size: str, filled: int, *command: str) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", SMALL, "sh", size, str(filled), *command]


@pytest.fixture(autouse=True)
def _may_mount() -> None:
    tried = subprocess.run(with_shm("64k", 0, "true"), capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"a small /dev/shm needs the right to mount one: {tried.stderr.strip()}")


def train_with(
    aws: LocalStack, make_task: MakeTask, tmp_path: Path, name: str, workers: int, prefix: list[str]
) -> str:
    """Run a training to its end; returns what it logged."""
    # Packed rows carry masks: a batch is a megabyte, and /dev/shm would have room for none.
    task = make_task(name, dataloader_workers=workers, packing=True, epochs=2)
    job_file = tmp_path / f"{name}.json"
    job_file.write_text(task.model_dump_json(), encoding="utf-8")
    read_end, write_end = os.pipe()  # held open, as a daemon's pipe is
    os.write(write_end, f"{steady_seconds() + 600:.3f}\n".encode())
    try:
        answer = subprocess.run(
            [*prefix, sys.executable, "-m", "receipt_layoutlm.training", str(job_file)],
            env=aws.child_environ(OMP_NUM_THREADS="1"),
            stdin=read_end,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,  # what it took before was for ever
        )
    finally:
        os.close(read_end)
        os.close(write_end)
    assert answer.returncode == ChildExit.DONE, answer.stderr[-3000:]
    assert isinstance(parse_report(answer.stdout.splitlines()[-1]), Trained)
    return answer.stderr


def test_a_small_shm_or_a_full_one_ends_no_training_and_changes_no_number(
    aws: LocalStack, make_task: MakeTask, storage: S3Store, bucket: str, tmp_path: Path
) -> None:
    said = {
        "alone": train_with(aws, make_task, tmp_path, "alone", 0, []),
        "small": train_with(aws, make_task, tmp_path, "small", 2, with_shm("64k", 0)),
        "full": train_with(aws, make_task, tmp_path, "full", 2, with_shm("4k", 4096)),
    }
    learned = {
        name: json.dumps(
            [
                what_was_learned(one)
                for one in read_json(storage, f"s3://{bucket}/runs/{name}/run.json")["epoch_metrics"]
            ]
        )
        for name in said
    }
    assert learned["small"] == learned["full"] == learned["alone"]
    assert "cannot start them" not in said["alone"] + said["small"]
    assert "WARNING" in said["full"]
    assert "dataloader_workers is 2, and this host cannot start them" in said["full"]
    assert "docker run --shm-size" in said["full"]


def test_a_host_with_room_starts_as_many_as_were_asked_for() -> None:
    assert [startable_workers(asked) for asked in (0, 1, 8)] == [0, 1, 8]


def test_a_batch_comes_out_of_a_pipe_as_it_went_in() -> None:
    context = torch.multiprocessing.get_context("fork")
    batch = {"ids": torch.arange(6).view(2, 3), "mask": torch.rand(2, 1, 3, 3)}
    queue = context.SimpleQueue()
    process = context.Process(target=queue.put, args=(PipedBatch(batch),))
    process.start()
    found = queue.get()
    process.join()
    assert type(found) is dict
    assert found.keys() == batch.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, batch[name])
        assert not tensor.is_shared()
        tensor.add_(1)  # nobody else's
