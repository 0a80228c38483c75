"""A training by hand that is interrupted, refused, killed or failed: its name is never lost."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from messages.codec import decode_train_job
from messages.errors import InvalidMessage
from messages.fields import derive_id
from messages.train import TrainJob
from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import now, write_time
from receipt_dynamo.entities import JobLease, RunName
from tests.support.work import SCRIPTED
from workers.errors import NotNow
from workers.jobs.job_record import job_record
from workers.jobs.submit import submit_training
from workers.jobs.training import TrainingHandler
from workers.local_aws.local_stack import LocalStack
from workers.operator.cancel import ask_to_cancel
from workers.operator.run_local import HandRun, train_or_go_on
from workers.settings import Settings

LONG_AGO = "2026-01-01T00:00:00.000000+00:00"


@pytest.fixture
def settings(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(TrainingHandler, "module", SCRIPTED)
    quick = {"work_dir": tmp_path, "lease_seconds": 2.0, "drain_seconds": 5.0}
    return stack.settings.model_copy(update={**quick, "train_results_queue_url": None})


def request(script: str, name: str = "hand", **fields: Any) -> TrainJob:
    body = {"job_id": str(uuid.uuid4()), "job_name": name, "tags": {"script": script}, **fields}
    return TrainJob.model_validate(body)


async def train(
    settings: Settings, job: TrainJob, *, as_before: bool = False
) -> tuple[HandRun, list[JobLease]]:
    gone_on: list[JobLease] = []
    return await train_or_go_on(settings, job, as_before=as_before, goes_on=gone_on.append), gone_on


async def running(client: DynamoClient) -> None:
    while ("running", 1) not in statuses(client):  # noqa: ASYNC110 - the table tells nobody
        await asyncio.sleep(0.02)


async def interrupt(client: DynamoClient, number: signal.Signals) -> None:
    await running(client)
    os.kill(os.getpid(), number)


def statuses(client: DynamoClient, name: str = "hand") -> list[tuple[str, int | None]]:
    return [(job.status, job.attempt) for job in client.get_job_by_name(name).items]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_leaves_the_job_to_the_same_name_which_goes_on_under_its_id(
    settings: Settings, client: DynamoClient, number: signal.Signals
) -> None:
    first = request("attempts:hang,succeed", auto_export=False)
    (run, gone_on), _ = await asyncio.gather(train(settings, first), interrupt(client, number))
    assert (run.outcome, run.why, gone_on) == (None, "it was stopped", [])
    assert statuses(client) == [("interrupted", 1)]

    again = first.model_copy(update={"job_id": str(uuid.uuid4())})
    run, [lease] = await train(settings, again)
    assert (run.outcome, run.job.job_id, lease.owner_id) == ("succeeded", first.job_id, first.job_id)
    assert statuses(client) == [("succeeded", 2)]


async def test_no_options_go_on_with_those_that_the_job_was_begun_with(
    settings: Settings, client: DynamoClient
) -> None:
    first = request("attempts:hang,succeed", auto_export=False, hyperparameters={"epochs": 7})
    await asyncio.gather(train(settings, first), interrupt(client, signal.SIGTERM))
    bare = decode_train_job('{"job_name": "hand"}', message_id="m")
    run, _ = await train(settings, bare, as_before=True)
    assert (run.outcome, run.job) == ("succeeded", first)


async def test_other_options_are_refused_one_by_one_and_change_nothing(
    settings: Settings, client: DynamoClient
) -> None:
    first = request("hang", auto_export=False)
    await asyncio.gather(train(settings, first), interrupt(client, signal.SIGTERM))
    with pytest.raises(InvalidMessage) as refused:
        await train(settings, request("hang", auto_export=False, hyperparameters={"epochs": 7}))
    said = {fault.field: fault.problem for fault in refused.value.faults}
    assert said.keys() == {"job_name", "epochs"}
    assert said["epochs"] == "7, begun with 10"
    assert f"`layoutlm-cli cancel {first.job_id}` gives it up" in said["job_name"]
    assert statuses(client) == [("interrupted", 1)]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("fail:data", "scripted data"),
        ("fail:throttled", "scripted throttled"),  # a worker would try again; by hand nothing does
        ("exit:3", "exit code 3"),
        ("kill", "SIGKILL"),
    ],
)
async def test_a_failure_that_nothing_repeats_is_failed_with_its_reason(
    settings: Settings, client: DynamoClient, script: str, reason: str
) -> None:
    run, _ = await train(settings, request(script))
    assert run.outcome == "failed"
    assert reason in run.why
    assert "attempt 1" not in run.why
    [job] = client.get_job_by_name("hand").items
    assert (job.status, job.error_message) == ("failed", run.why)
    lease = client.get_lease(job.job_id, kind="train")
    assert lease is not None
    assert lease.state == "closed"
    run, gone_on = await train(settings, request("succeed", auto_export=False))
    assert (run.outcome, gone_on) == ("succeeded", [])


async def test_a_fault_of_the_host_leaves_the_job_to_the_same_name_and_says_what_it_was(
    settings: Settings, client: DynamoClient
) -> None:
    job = request("attempts:fail:network,succeed", auto_export=False)
    run, _ = await train(settings, job)
    assert (run.outcome, run.why) == (None, "scripted network")
    assert statuses(client) == [("interrupted", 1)]
    run, [lease] = await train(settings, job)
    assert (run.outcome, lease.owner_id) == ("succeeded", job.job_id)


async def test_a_job_whose_command_was_killed_waits_for_its_lease_and_goes_on(
    settings: Settings, client: DynamoClient, stack: LocalStack
) -> None:
    job = request("succeed", auto_export=False)
    client.add_job(job_record(job, settings.runs / "hand/", status="running"))
    client.claim_run_name(RunName(name="hand", job_id=job.job_id, claimed_at=now()))
    held_until(client, job, settings, write_time(datetime.now(UTC) + timedelta(seconds=30)))
    with pytest.raises(NotNow, match=r"held by killed:1 until .*goes on with the job after") as refused:
        await train(settings, job)
    assert refused.value.exit_code == 75
    held_until(client, job, settings, LONG_AGO)
    run, [lease] = await train(settings, request("succeed", auto_export=False))
    assert (run.outcome, run.job.job_id, lease.worker) == ("succeeded", job.job_id, "killed:1")


async def test_a_job_killed_before_its_record_was_made_has_not_burnt_its_name(
    settings: Settings, client: DynamoClient
) -> None:
    job = request("succeed", auto_export=False)
    client.claim_run_name(RunName(name="hand", job_id=job.job_id, claimed_at=now()))
    held_until(client, job, settings, LONG_AGO)
    run, _ = await train(settings, request("succeed", auto_export=False))
    assert (run.outcome, run.job.job_id) == ("succeeded", job.job_id)


def held_until(client: DynamoClient, job: TrainJob, settings: Settings, end: str) -> None:
    """The lease as a command that was killed leaves it; taken again, its end moves."""
    client.claim_lease(
        job.job_id,
        kind="train",
        claim_id=str(uuid.uuid4()),
        worker="killed:1",
        now="2999-01-01T00:00:00.000000+00:00",
        expires_at=end,
        body=job.model_dump_json(exclude_none=True),
        by_hand=True,
    )


@pytest.mark.parametrize("status", ["succeeded", "running", "pending"])
async def test_a_name_of_another_job_is_refused_without_a_failed_record(
    settings: Settings, client: DynamoClient, status: Any
) -> None:
    other = request("succeed")
    client.add_job(job_record(other, settings.runs / "hand/", status=status))
    with pytest.raises(InvalidMessage, match=rf"belongs to job {other.job_id} \({status}\)"):
        await train(settings, request("succeed"))
    assert statuses(client) == [(status, None)]


async def test_a_job_of_a_queue_is_not_taken_over_by_hand(settings: Settings, client: DynamoClient) -> None:
    job = request("succeed")
    await submit_training(settings, job)
    with pytest.raises(InvalidMessage, match=f"belongs to job {job.job_id}"):
        await train(settings, job.model_copy(update={"job_id": derive_id("another")}))


async def test_an_interrupted_job_is_cancelled_at_once_and_its_name_is_free(
    settings: Settings, client: DynamoClient
) -> None:
    first = request("hang", auto_export=False)
    await asyncio.gather(train(settings, first), interrupt(client, signal.SIGTERM))
    said = await ask_to_cancel(settings, "hand")
    assert said == f"hand (job {first.job_id}, interrupted) is cancelled"
    assert statuses(client) == [("cancelled", 2)]
    run, gone_on = await train(settings, request("succeed", auto_export=False))
    assert (run.outcome, gone_on) == ("succeeded", [])


async def test_a_running_one_that_is_cancelled_says_so(settings: Settings, client: DynamoClient) -> None:
    async def cancel() -> str:
        await running(client)
        return await ask_to_cancel(settings, "hand")

    (run, _), said = await asyncio.gather(train(settings, request("hang")), cancel())
    assert "hears of this within a heartbeat" in said
    assert (run.outcome, run.why) == ("cancelled", "Cancelled on request.")
