"""A host's notice drains the running work, with real queue, table and children."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.checkpointing import CHECKPOINT
from tests.support.fake_hooks import Fleet, hooked_aws
from tests.support.fake_imds import TARGET_STATE, FakeImds, fake_imds
from tests.support.work import Bench, training_bench
from workers import daemon
from workers.health import Health
from workers.host.ec2 import host_heard
from workers.jobs.training import TrainingHandler
from workers.local_aws.local_stack import LocalStack
from workers.runtime.loop import run_until_stopped
from workers.sqs.queue import JobQueue, Received
from workers.stop import Stop

JOB_ID = "8d7c1c1f-2a2f-4d0e-9a51-6d5a5c7b2f10"
NOTICE = "Spot interruption notice for 2026-11-21T08:22:00Z"


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    with fake_imds() as imds:
        yield imds


class CheckpointingTraining(TrainingHandler):
    module = "tests.support.checkpointing"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.02)


async def interrupt(bench: Bench, script: str, seconds: float) -> None:
    """Have a child work, and the host give it so long."""
    await bench.send({"job_id": JOB_ID, "job_name": "demo", "tags": {"script": script}})
    with capture_logs() as logs:
        working = asyncio.create_task(bench.work_once())
        # From here on it hears SIGTERM, and does with it what the script says.
        await until(lambda: "progress" in [line["event"] for line in logs])
    bench.stop.request_within(seconds, NOTICE)
    await asyncio.wait_for(working, 20)


async def test_a_child_that_reaches_no_checkpoint_is_ended_at_the_hosts_deadline_not_after_the_usual_drain(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, drain_seconds=600) as bench:
        await interrupt(bench, "stubborn", 0.3)
        [*_, note] = (await bench.aws.table.list_job_statuses(JOB_ID)).items
        assert (note.status, note.message) == ("interrupted", NOTICE)
        assert await bench.depth() == (1, 0)


async def test_a_child_may_take_longer_than_the_usual_drain_where_the_host_gives_it(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path, CheckpointingTraining, drain_seconds=0.01) as bench:
        await interrupt(bench, "checkpoint", 20)
        assert (await bench.aws.table.get_job(JOB_ID)).status == "interrupted"
    stored = stack.client("s3").list_objects_v2(Bucket=stack.environ["LAYOUTLM_TRAINING_BUCKET"])
    assert [one["Key"] for one in stored["Contents"]] == [f"runs/demo/{CHECKPOINT}"]


async def test_a_message_that_arrives_after_a_rebalance_recommendation_is_handed_back(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send({"job_id": JOB_ID, "job_name": "demo", "tags": {"script": "succeed"}})
        receive = JobQueue.receive

        async def recommended_meanwhile(queue: JobQueue, **lengths: float) -> Received | None:
            bench.stop.retire()
            return await receive(queue, **lengths)  # type: ignore[arg-type]

        monkeypatch.setattr(JobQueue, "receive", recommended_meanwhile)
        await run_until_stopped(bench.queue, bench.handler.handle, bench.stop, bench.settings)
        assert await bench.depth() == (1, 0)


async def test_a_worker_for_one_message_neither_takes_it_nor_waits_on_a_host_that_goes(
    stack: LocalStack, tmp_path: Path, imds: FakeImds, run_dir: Path
) -> None:
    imds.announce_interruption()
    async with training_bench(stack, tmp_path) as bench:
        await bench.send({"job_id": JOB_ID, "job_name": "demo", "tags": {"script": "succeed"}})
        where = {"metadata_url": imds.url, "run_dir": run_dir, "poll_seconds": 0}
        assert await daemon.run_daemon("train", stack.settings.model_copy(update=where), once=True) == 0
        assert await bench.depth() == (1, 0)


@pytest.mark.parametrize(("drain", "margin", "warned"), [(105, 15, False), (106, 15, True), (100, 40, True)])
async def test_a_drain_that_is_longer_than_a_spot_notice_leaves_is_a_warning_on_ec2(
    stack: LocalStack, imds: FakeImds, run_dir: Path, drain: float, margin: float, warned: bool
) -> None:
    where = {"metadata_url": imds.url, "run_dir": run_dir}
    lengths = {"drain_seconds": drain, "spot_margin_seconds": margin}
    health = Health()
    async with host_heard(stack.settings.model_copy(update={**where, **lengths}), Stop(), health):
        warnings = health.report().warnings
    expected = (
        f"LAYOUTLM_DRAIN_SECONDS ({drain}) is longer than the {120 - margin} s that a Spot notice leaves"
    )
    assert [warning.startswith(expected) for warning in warnings] == [True] * warned


async def test_a_worker_that_ends_in_the_midst_of_a_job_leaves_no_protection_behind(
    stack: LocalStack, imds: FakeImds, run_dir: Path
) -> None:
    fleet = Fleet.make(stack, size=1)
    imds.values["instance-id"] = fleet.instance_ids[0]
    settings = stack.settings.model_copy(update={"metadata_url": imds.url, "run_dir": run_dir})
    health = Health()
    health.began("train", JOB_ID, 1)
    async with host_heard(settings, Stop(), health):
        await until(lambda: fleet.protected == set(fleet.instance_ids))
        health.ended("STOPPED")
    assert fleet.protected == set()


async def test_a_worker_that_a_signal_ends_still_lets_its_instance_go(
    stack: LocalStack, imds: FakeImds, run_dir: Path
) -> None:
    fleet = Fleet.make(stack, size=1)
    fleet.add_hook("drain")
    imds.values.update({"instance-id": fleet.instance_ids[0], TARGET_STATE: "Terminated"})
    with hooked_aws(stack.environ["AWS_ENDPOINT_URL"]) as aws:
        where = {"metadata_url": imds.url, "run_dir": run_dir, "endpoint_url": aws.url}
        async with host_heard(stack.settings.model_copy(update=where), Stop(), Health()):
            await until(lambda: "RecordLifecycleActionHeartbeat" in aws.actions)
            assert "CompleteLifecycleAction" not in aws.actions
        assert aws.actions.count("CompleteLifecycleAction") == 1


async def test_a_worker_that_waits_for_its_hosts_end_is_ready_for_systemd_and_ends_with_a_signal(
    stack: LocalStack, imds: FakeImds, run_dir: Path
) -> None:
    imds.announce_interruption()
    settings = stack.settings.model_copy(update={"metadata_url": imds.url, "run_dir": run_dir})
    health, stop = Health(), Stop()
    async with host_heard(settings, stop, health) as host:
        assert host is not None
        waiting = asyncio.create_task(host.wait_for_end())
        await until(health.ready.is_set)
        assert not waiting.done()
        stop.request()
        await asyncio.wait_for(waiting, 5)
