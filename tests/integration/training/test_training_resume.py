"""The checkpoint that an attempt resumes from: the newest that is complete and can run no code."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from messages.child_protocol import ErrorClass, TrainTask
from receipt_layoutlm.checkpoint import MANIFEST, describe_files
from receipt_layoutlm.training.checkpoint_store import find_foreign, find_own
from receipt_layoutlm.training.run import train
from receipt_layoutlm.training.run_state import Resumed
from run_records.errors import CheckpointError
from run_records.job_process.child_main import Reporter, StopRequested, classify
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask, read_json

STEPS_PER_EPOCH = 5


@pytest.fixture
def task(make_task: MakeTask) -> TrainTask:
    """A run with two checkpoints."""
    task = make_task(epochs=2)
    train(task, Reporter(None), StopRequested())
    return task


@pytest.fixture
def newest(task: TrainTask) -> str:
    return f"{task.run_s3_uri}checkpoints/checkpoint-{2 * STEPS_PER_EPOCH}/"


@pytest.fixture
def find(task: TrainTask, storage: S3Store, tmp_path: Path) -> Callable[[], Resumed | None]:
    return lambda: find_own(storage, f"{task.run_s3_uri}checkpoints/", task.job.job_id, tmp_path / "found")


def delete(storage: S3Store, uri: str) -> None:
    place = storage.place(uri)
    storage.client.delete_object(Bucket=place.bucket, Key=place.key)


def replace(storage: S3Store, checkpoint: str, name: str, body: bytes, folder: Path) -> None:
    """Put another file into a checkpoint, its manifest made to fit."""
    (folder / name).write_bytes(body)
    [described] = describe_files(folder, (name,))
    manifest = read_json(storage, checkpoint + MANIFEST)
    files = [file for file in manifest["files"] if file["name"] != name]
    manifest["files"] = [*files, described.model_dump()]
    storage.write(checkpoint + name, body)
    storage.write(checkpoint + MANIFEST, json.dumps(manifest).encode())


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trap),)


def test_a_partial_or_damaged_checkpoint_is_passed_over_with_a_warning(
    storage: S3Store, newest: str, find: Callable[[], Resumed | None], caplog: pytest.LogCaptureFixture
) -> None:
    resumed = find()
    assert resumed is not None
    assert resumed.manifest.step == 2 * STEPS_PER_EPOCH
    manifest = storage.read(newest + MANIFEST) or b""
    for spoil, warning in (
        (lambda: delete(storage, newest + MANIFEST), "has no manifest: its upload was cut short"),
        (lambda: storage.write(newest + MANIFEST, manifest[:50]), "has no manifest"),
        (lambda: storage.write(newest + MANIFEST, manifest), None),
        (lambda: delete(storage, newest + "scheduler.pt"), "is incomplete: files are missing"),
    ):
        caplog.clear()
        spoil()
        resumed = find()
        assert resumed is not None
        assert resumed.manifest.step == STEPS_PER_EPOCH * (1 if warning else 2)
        assert warning is None or warning in caplog.text


def test_a_state_that_could_run_code_is_never_loaded(
    storage: S3Store,
    newest: str,
    find: Callable[[], Resumed | None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    trap = tmp_path / "trap"
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt"):
        whole = storage.read(newest + name) or b""
        torch.save({"state": Malicious(trap)}, tmp_path / "evil")
        for body in ((tmp_path / "evil").read_bytes(), pickle.dumps(Malicious(trap)), b"no state at all"):
            caplog.clear()
            replace(storage, newest, name, body, tmp_path)
            resumed = find()
            assert resumed is not None
            assert resumed.manifest.step == STEPS_PER_EPOCH
            assert f"{name} is not loaded" in caplog.text
            assert not trap.exists()
        replace(storage, newest, name, whole, tmp_path)


def test_another_runs_state_that_could_run_code_ends_the_run_for_good(
    storage: S3Store, newest: str, tmp_path: Path
) -> None:
    replace(storage, newest, "optimizer.pt", pickle.dumps(Malicious(tmp_path / "trap")), tmp_path)
    with pytest.raises(CheckpointError, match=r"optimizer\.pt is not loaded") as refused:
        find_foreign(storage, newest, tmp_path / "found")
    assert classify(refused.value)[0] is ErrorClass.CHECKPOINT
    assert not (tmp_path / "trap").exists()


def test_a_shortage_of_host_memory_in_torch_is_named() -> None:
    with pytest.raises(RuntimeError) as full:
        torch.empty(1 << 60)
    assert classify(full.value)[0] is ErrorClass.MEMORY
