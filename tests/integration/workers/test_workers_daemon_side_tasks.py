"""The real daemon whose host answers oddly, late or not at all, and whose own tasks have defects."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ec2_host import PATIENCE_SECONDS, Stage, host, wait_until
from tests.support.fake_imds import SPOT, TARGET_STATE, fake_imds
from workers.local_aws.local_stack import LocalStack

TOO_LATE = '{"action": "terminate", "time": "9999-12-31T23:59:59-14:00"}'
WITHOUT_A_TIME = "Spot interruption notice without a time"


@pytest.fixture
def stage(stack: LocalStack, run_dir: Path) -> Iterator[Stage]:
    with fake_imds() as imds, host(stack, imds, run_dir) as stage:
        yield stage


@pytest.mark.parametrize(
    "notice", [TOO_LATE, "[" * 50_000, b"\xff\xfe", ""], ids=["time", "nested", "bytes", "empty"]
)
def test_a_notice_that_is_hard_to_read_is_heard_all_the_same(stage: Stage, notice: str | bytes) -> None:
    stage.send("checkpoint")
    with stage.worker() as process:
        wait_until(lambda: "progress" in stage.events(), stage)
        stage.imds.values[SPOT] = notice
        wait_until(lambda: stage.visible() == 1, stage)
        assert stage.has_checkpoint()
        assert stage.notes()[-1] == ("interrupted", WITHOUT_A_TIME)
        assert "side task failed" not in stage.events()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_service_that_answers_503_at_the_boot_is_heard_when_a_spot_notice_comes(stage: Stage) -> None:
    stage.imds.broken = True
    with stage.worker() as process:
        wait_until(lambda: "worker ready" in stage.events(), stage)
        assert "instance metadata does not answer; asked again and again" in stage.events()
        stage.imds.broken = False
        at = stage.imds.announce_interruption()
        wait_until(lambda: stage.report().notice == f"Spot interruption notice for {at}", stage)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_service_that_refuses_connections_at_first_is_heard_when_a_spot_notice_comes(
    stack: LocalStack, run_dir: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with fake_imds() as nobody, host(stack, nobody, run_dir) as stage:
        nobody.url = f"http://127.0.0.1:{port}"
        with stage.worker() as process:
            wait_until(lambda: "worker ready" in stage.events(), stage)
            with fake_imds(port) as imds:
                at = imds.announce_interruption()
                wait_until(lambda: stage.report().notice == f"Spot interruption notice for {at}", stage)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 0


def test_a_listener_that_dies_is_seen_and_at_last_ends_the_worker_with_its_job_saved(stage: Stage) -> None:
    stage.imds.values[TARGET_STATE] = "InService"
    stage.send("checkpoint")
    defect = {"TEST_BROKEN": "workers.host.spot_listener.read_notice", "TEST_PAUSE_SECONDS": "30"}
    with stage.worker(**defect) as process:
        wait_until(lambda: "side task failed" in stage.events(), stage)
        shown = stage.worker_status()
        assert shown.returncode == 1
        assert "host listener failed, " in shown.stdout
        assert "in a row: RuntimeError: broken by the test" in shown.stdout
        assert "healthy │ no" in " ".join(shown.stdout.split())
        assert process.wait(PATIENCE_SECONDS) == 70
    failures = [line for line in stage.lines() if line["event"] == "side task failed"]
    assert {line["task"] for line in failures} == {"host listener"}
    assert all("broken by the test" in line["exception"] for line in failures)
    [end] = [line for line in stage.lines() if line["event"] == "worker ends"]
    assert end["error_class"] == "SideTaskFailed"
    assert stage.has_checkpoint()
    assert stage.visible() == 1
    status, why = stage.notes()[-1]
    assert status == "interrupted"
    assert str(why).startswith("host listener failed, 5 in a row")


@pytest.mark.parametrize(
    ("defect", "task"),
    [
        ("workers.runtime.loop_monitor.compare", "loop monitor"),
        ("workers.host.asg_lifecycle.GroupMembership.tell", "Auto Scaling keeper"),
        ("workers.daemon._note_stop", "stop note"),
    ],
)
def test_each_other_task_beside_the_work_that_dies_ends_an_idle_worker(
    stage: Stage, defect: str, task: str
) -> None:
    with stage.worker(TEST_BROKEN=defect) as process:
        assert process.wait(PATIENCE_SECONDS) == 70
    assert {line["task"] for line in stage.lines() if line["event"] == "side task failed"} == {task}


def test_a_worker_that_waits_for_its_hosts_end_ends_with_a_task_that_dies(stage: Stage) -> None:
    stage.imds.announce_interruption()
    with stage.worker(TEST_BROKEN="workers.host.asg_lifecycle.GroupMembership.tell") as process:
        assert process.wait(PATIENCE_SECONDS) == 70
