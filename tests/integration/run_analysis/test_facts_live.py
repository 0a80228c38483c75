"""Runs that are under way, as whoever watches sees them."""

from __future__ import annotations

import pytest

from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import Job, JobLog
from receipt_dynamo.entities.field_types import LeaseProgress
from run_analysis.active_runs import Where, estimate_seconds_left, list_active_runs, read_active_run
from run_records.epoch_record import EpochFacts
from tests.support.records import MakeJob, metrics, minute


def claim(client: DynamoClient, job: Job, at: float = 0) -> object:
    return client.claim_lease(
        job.job_id,
        kind="train",
        claim_id=f"claim-{at}",
        worker="host-7",
        now=minute(at),
        expires_at=minute(at + 1),
        body="{}",
    )


def progress(attempt: int, at: float, epoch: float) -> LeaseProgress:
    return LeaseProgress(
        attempt=attempt,
        at=minute(at),
        stage="training",
        message="",
        epoch=epoch,
        step=round(epoch * 10),
        total_steps=50,
        metrics={},
    )


def test_a_run_under_way_is_shown_with_its_worker_its_place_and_what_is_left(
    client: DynamoClient, make_job: MakeJob
) -> None:
    job = make_job("busy", "running", options={"epochs": 5})
    lease = client.claim_lease(
        job.job_id,
        kind="train",
        claim_id="c",
        worker="host-7",
        now=minute(0),
        expires_at=minute(1),
        body="{}",
    )
    client.renew_lease(lease, expires_at=minute(9), progress=progress(1, 8, 2.5))
    for epoch, at in ((1, 2), (2, 6)):
        client.add_job_metrics(metrics(job, epoch, at, val_f1=epoch / 10, samples_per_second=7.5))
    client.add_job_log(JobLog(job_id=job.job_id, timestamp=minute(6), log_level="INFO", message="epoch 2"))
    live = read_active_run(client, job)
    assert (live.worker, live.attempt, live.lease_until) == ("host-7", 1, minute(9))
    assert live.where is not None
    assert (live.where.stage, live.where.epoch, live.where.step) == ("training", 2.5, 25)
    assert live.last is not None
    assert (live.last.eval_f1, live.last.samples_per_second) == (0.2, 7.5)
    assert live.epochs_done == 2.5
    assert live.seconds_left == pytest.approx(2.5 * 240)
    assert [line.message for line in live.logs] == ["epoch 2"]


def test_what_an_earlier_attempt_said_last_is_not_where_this_one_is(
    client: DynamoClient, make_job: MakeJob
) -> None:
    job = make_job("again", "running")
    lease = client.claim_lease(
        job.job_id, kind="train", claim_id="a", worker="a", now=minute(0), expires_at=minute(1), body="{}"
    )
    client.renew_lease(lease, expires_at=minute(2), progress=progress(1, 1, 3.5))
    claim(client, job, at=5)
    live = read_active_run(client, job)
    assert (live.attempt, live.worker, live.where) == (2, "host-7", None)


def test_a_run_that_nobody_has_shows_no_worker(client: DynamoClient, make_job: MakeJob) -> None:
    job = make_job("waiting", "pending")
    live = read_active_run(client, job)
    assert (live.worker, live.where, live.seconds_left, live.epochs) == (None, None, None, ())


def test_only_what_has_not_ended_is_live(client: DynamoClient, make_job: MakeJob) -> None:
    statuses = ["succeeded", "running", "failed", "pending", "interrupted", "cancelled"]
    for number, status in enumerate(statuses):
        make_job(status, status, at=number)
    assert [one.run.status for one in list_active_runs(client)] == ["interrupted", "pending", "running"]


def epochs_at(*moments: tuple[float, float]) -> list[EpochFacts]:
    return [EpochFacts(epoch=epoch, recorded_at=minute(at)) for epoch, at in moments]


@pytest.mark.parametrize(
    ("epochs", "asked", "where", "left_minutes"),
    [
        ([], 10, None, None),
        (epochs_at((1, 1)), 10, None, None),
        (epochs_at((1, 1), (2, 2)), None, None, None),
        (epochs_at((1, 1), (2, 2)), 10, None, 8),
        # Nobody worked for hours between the second and the third.
        (epochs_at((1, 1), (2, 2), (3, 600), (4, 601)), 10, None, 6),
        (epochs_at((0.5, 1), (1, 2)), 3, None, 4),
        (epochs_at((1, 1), (2, 2)), 2, None, 0),
        (epochs_at((1, 1), (2, 2)), 4, 3.5, 0.5),
    ],
)
def test_what_is_left_follows_from_the_median_pace(
    epochs: list[EpochFacts], asked: int | None, where: float | None, left_minutes: float | None
) -> None:
    at = None if where is None else Where(at=minute(3), stage="training", epoch=where)
    left = estimate_seconds_left(epochs, asked, at)
    assert left == (None if left_minutes is None else pytest.approx(left_minutes * 60))
