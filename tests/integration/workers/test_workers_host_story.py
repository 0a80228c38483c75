"""The real daemon on an EC2 instance that goes away: its job is with the next host in time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ec2_host import JOB_ID, PATIENCE_SECONDS, Stage, host, wait_until
from tests.support.fake_hooks import Fleet
from tests.support.fake_imds import TARGET_STATE, fake_imds
from workers.local_aws.local_stack import LocalStack


@pytest.fixture
def stage(stack: LocalStack, run_dir: Path) -> Iterator[Stage]:
    with fake_imds() as imds, host(stack, imds, run_dir) as stage:
        yield stage


def test_a_spot_notice_brings_checkpoint_note_and_message_to_the_next_host_within_its_two_minutes(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    stage.send("checkpoint")
    with stage.worker() as process:
        wait_until(lambda: "progress" in stage.events(), stage)
        at, noticed = stage.imds.announce_interruption(120), time.monotonic()
        timeline = []

        def reached(what: str, condition: Callable[[], Any]) -> None:
            wait_until(condition, stage)
            timeline.append(f"{what} after {time.monotonic() - noticed:.1f} s")

        reached("child asked", lambda: "stopping: the child may reach a checkpoint" in stage.events())
        reached("checkpoint in S3", stage.has_checkpoint)
        reached("status note", lambda: stage.notes()[-1][0] == "interrupted")
        reached("message visible", lambda: stage.visible() == 1)
        assert time.monotonic() - noticed < 120
        record_property("Spot notice", ", ".join([*timeline, "of 120 s"]))

        assert stage.notes()[-1] == ("interrupted", f"Spot interruption notice for {at}")
        wait_until(lambda: "no more messages are taken; waiting for the host to end" in stage.events(), stage)
        report = stage.report()
        assert (report.state, report.notice) == ("stopping", f"Spot interruption notice for {at}")
        assert stage.visible() == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    job = stage.client.get_job(JOB_ID)
    assert (job.status, job.attempt) == ("interrupted", 1)


def test_scale_in_waits_for_the_drain_by_its_hook_and_is_let_go_when_the_job_is_back(stage: Stage) -> None:
    fleet = Fleet.make(stage.stack, size=2)
    fleet.add_hook("drain")
    stage.imds.values.update({"instance-id": fleet.instance_ids[0], TARGET_STATE: "InService"})
    stage.send("checkpoint")
    with stage.worker() as process:
        wait_until(lambda: fleet.protected == {fleet.instance_ids[0]}, stage)
        wait_until(lambda: "progress" in stage.events(), stage)
        stage.imds.values[TARGET_STATE] = "Terminated"
        wait_until(lambda: "CompleteLifecycleAction" in stage.aws.actions, stage)
        assert "RecordLifecycleActionHeartbeat" in stage.aws.actions
        assert stage.has_checkpoint()
        assert stage.visible() == 1
        assert stage.notes()[-1] == ("interrupted", "Auto Scaling ends this instance")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert stage.aws.actions.count("CompleteLifecycleAction") == 1


def test_a_rebalance_recommendation_lets_the_job_end_and_leaves_the_next_one_to_others(stage: Stage) -> None:
    stage.send("chatty:3")
    with stage.worker() as process:
        wait_until(lambda: "progress" in stage.events(), stage)
        at = stage.imds.recommend_rebalance()
        wait_until(lambda: stage.report().notice == f"Rebalance recommendation of {at}", stage)
        assert stage.report().state == "working"
        stage.send("succeed", "11111111-2a2f-4d0e-9a51-6d5a5c7b2f10")
        wait_until(lambda: "no more messages are taken; waiting for the host to end" in stage.events(), stage)
        assert stage.notes()[-1] == ("succeeded", "succeeded")
        assert stage.visible() == 1
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_worker_that_starts_on_a_host_that_goes_takes_nothing_and_waits(stage: Stage) -> None:
    at = stage.imds.announce_interruption()
    stage.send("succeed")
    with stage.worker() as process:
        wait_until(lambda: "no more messages are taken; waiting for the host to end" in stage.events(), stage)
        assert stage.visible() == 1
        assert f"Spot interruption notice for {at}" in stage.worker_status().stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0


def test_whatever_auto_scaling_and_metadata_refuse_the_job_is_done(stage: Stage) -> None:
    fleet = Fleet.make(stage.stack, size=1)
    stage.imds.values["instance-id"] = fleet.instance_ids[0]
    stage.aws.denied.add("SetInstanceProtection")
    stage.send("chatty:3")
    with stage.worker() as process:
        wait_until(lambda: "Auto Scaling not told; tried again and again" in stage.events(), stage)
        stage.imds.broken = True
        wait_until(lambda: "message handled" in stage.events(), stage)
        assert stage.notes()[-1] == ("succeeded", "succeeded")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert stage.events().count("instance metadata does not answer; asked again and again") == 1


def test_an_idle_instance_ends_itself_and_its_worker_waits_for_that(stage: Stage) -> None:
    fleet = Fleet.make(stage.stack, size=2, smallest=1)
    stage.imds.values["instance-id"] = fleet.instance_ids[0]
    with stage.worker(LAYOUTLM_IDLE_MINUTES="0.02") as process:
        wait_until(lambda: fleet.desired == 1, stage)
        wait_until(lambda: "Idle for 0.02 minutes" in str(stage.report().notice), stage)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
