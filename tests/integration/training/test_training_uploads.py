"""Checkpoints that go up while the training goes on: in order, whole when anyone leaves, never silently."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from receipt_layoutlm.checkpoint import MANIFEST
from receipt_layoutlm.training import callbacks
from receipt_layoutlm.training import checkpoint_store as checkpoints
from receipt_layoutlm.training.checkpoint_store import Uploads
from receipt_layoutlm.training.run import train
from run_records.errors import NetworkError
from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask, StopAfter

QUIET = Reporter(None)
GO_ON = StopRequested()


def test_work_goes_on_beside_its_giver_and_begins_in_order() -> None:
    uploads, may_end, done = Uploads(), threading.Event(), []

    def first() -> None:
        may_end.wait(10)
        done.append("first")

    uploads.begin(first)
    assert not done
    may_end.set()
    uploads.begin(lambda: done.append("second"))
    assert done[0] == "first"
    uploads.finish()
    assert done == ["first", "second"]


def test_an_error_is_raised_once_where_the_work_is_waited_for() -> None:
    def fail() -> None:
        raise NetworkError("The endpoint does not answer.")

    uploads = Uploads()
    uploads.begin(fail)
    with pytest.raises(NetworkError):
        uploads.begin(lambda: None)
    uploads.begin(fail)
    with pytest.raises(NetworkError):
        uploads.finish()
    uploads.finish()


def test_the_next_step_does_not_wait_for_a_checkpoint_to_be_up(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, waited = threading.Event(), []
    upload, step = checkpoints.upload, callbacks.RecordCallback.on_step_end

    def upload_late(*arguments: Any) -> None:
        waited.append(trained.wait(30))
        upload(*arguments)

    def tell_of_the_second_epoch(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        if state.global_step > 5:
            trained.set()
        return step(self, args, state, control, **rest)

    monkeypatch.setattr(callbacks, "upload", upload_late)
    monkeypatch.setattr(callbacks.RecordCallback, "on_step_end", tell_of_the_second_epoch)
    train(make_task(), QUIET, GO_ON)
    assert all(waited)


def test_an_upload_that_fails_ends_the_run_with_its_own_error(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise NetworkError("The endpoint does not answer.")

    monkeypatch.setattr(callbacks, "upload", fail)
    for epochs in (1, 2):  # met at the end of the run, and at the next checkpoint
        with pytest.raises(NetworkError):
            train(make_task(f"{epochs}-epochs", epochs=epochs), QUIET, GO_ON)


def test_a_run_that_is_stopped_leaves_when_its_checkpoint_is_up(
    make_task: MakeTask, storage: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = checkpoints.upload

    def upload_slowly(*arguments: Any) -> None:
        threading.Event().wait(0.3)
        upload(*arguments)

    monkeypatch.setattr(callbacks, "upload", upload_slowly)
    task = make_task()
    with pytest.raises(Stopped):
        train(task, QUIET, StopAfter(4))
    [folder] = {key.split("/")[0] for key in storage.list_keys(f"{task.run_s3_uri}checkpoints/")}
    assert f"{folder}/{MANIFEST}" in storage.list_keys(f"{task.run_s3_uri}checkpoints/")
