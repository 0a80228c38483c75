"""The report that a run leaves, whatever its end, and what becomes of the run when it cannot be written."""

from __future__ import annotations

from typing import Any

import pytest

from messages.fields import S3Uri
from receipt_dynamo import DynamoClient
from receipt_layoutlm.errors import Diverged
from receipt_layoutlm.training.run import train
from run_records.errors import NetworkError
from run_records.job_process.child_main import Reporter, StopRequested
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask
from workers.jobs.job_record import job_record

QUIET = Reporter(None)
GO_ON = StopRequested()


@pytest.fixture
def recorded(client: DynamoClient, make_task: MakeTask) -> MakeTask:
    """Tasks whose jobs have a record, as a worker makes it before it starts the child."""

    def make(name: str = "run", **options: Any) -> Any:
        task = make_task(name, **options)
        client.add_job(job_record(task.job, S3Uri.parse(task.run_s3_uri), status="running"))
        return task

    return make


def report_of(storage: S3Store, task: Any) -> str:
    body = storage.read(f"{task.run_s3_uri}report.html")
    assert body is not None
    return body.decode()


def test_a_run_ends_with_a_report_that_tells_its_result(recorded: MakeTask, storage: S3Store) -> None:
    task = recorded("shown")
    results = train(task, QUIET, GO_ON).results
    page = report_of(storage, task)
    for part in ("shown", "succeeded", f"{results['best_f1']:.3f}", "vegaEmbed", "CORNER"):
        assert part in page


def test_a_run_that_diverges_after_an_epoch_leaves_a_report_that_says_why(
    recorded: MakeTask, storage: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from receipt_layoutlm.training.speed import loss_watch as divergence  # noqa: PLC0415

    watch = divergence.LossWatch.fault

    def explode(self: Any, loss: float, step: int) -> str | None:
        return "The loss has exploded" if step > 7 else watch(self, loss, step)

    monkeypatch.setattr(divergence.LossWatch, "fault", explode)
    task = recorded("exploding")
    with pytest.raises(Diverged):
        train(task, QUIET, GO_ON)
    page = report_of(storage, task)
    assert "failed" in page
    assert "The loss has exploded at step 8" in page


def test_a_report_that_cannot_be_written_is_noted_and_costs_no_training(
    recorded: MakeTask, storage: S3Store, client: DynamoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = S3Store.write

    def refuse(self: S3Store, uri: str, *arguments: Any) -> str:
        if uri.endswith("report.html"):
            raise NetworkError("S3 does not answer")
        return write(self, uri, *arguments)

    monkeypatch.setattr(S3Store, "write", refuse)
    task = recorded("plain")
    assert train(task, QUIET, GO_ON).results["best_f1"] > 0
    faults = [line for line in client.list_job_logs(task.job.job_id).items if line.log_level == "ERROR"]
    assert [line.message for line in faults] == ["report.html was not written: S3 does not answer"]
