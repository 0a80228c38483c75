"""The daemon as a process: what systemd hears of it, and what `worker-status` shows of it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pytest
from structlog.testing import capture_logs

from workers import daemon
from workers.health import Health
from workers.local_aws.local_stack import LocalStack, MotoServer

JOB_ID = "8d7c1c1f-2a2f-4d0e-9a51-6d5a5c7b2f10"
WATCHDOG_SECONDS = 0.3
PATIENCE_SECONDS = 60


class Manager:
    """What systemd is to a daemon: a socket that it tells things to."""

    def __init__(self, folder: Path) -> None:
        self.address = folder / "notify"
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        self._socket.bind(str(self.address))
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def wait_for(self, *texts: str) -> None:
        """Wait for a datagram that holds all the texts; there always is a next one for a while."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        self._socket.settimeout(PATIENCE_SECONDS)
        while time.monotonic() < deadline:
            self.heard.append(self._socket.recv(1000).decode())
            if all(text in self.heard[-1] for text in texts):
                return
        raise AssertionError(f"no {texts} in {self.heard[-20:]}")

    def arrived(self) -> list[str]:
        """What was sent since somebody last listened."""
        since = len(self.heard)
        while select.select([self._socket], [], [], 0)[0]:
            self.heard.append(self._socket.recv(1000).decode())
        return self.heard[since:]


@pytest.fixture
def manager(run_dir: Path) -> Iterator[Manager]:
    with Manager(run_dir) as manager:
        yield manager


@contextmanager
def worker(stack: LocalStack, manager: Manager, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A train worker with a scripted child that this manager has started."""
    folder = manager.address.parent
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.scripted_worker", "train-worker"],
            env=stack.child_environ(
                NOTIFY_SOCKET=str(manager.address),
                WATCHDOG_USEC=str(round(WATCHDOG_SECONDS * 1e6)),
                LAYOUTLM_RUN_DIR=str(folder),
                LAYOUTLM_WORK_DIR=str(folder / "work"),
                LAYOUTLM_POLL_SECONDS="1",
                **environ,
            ),
            stderr=log,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def worker_status(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "layoutlm_cli", "worker-status", *options],
        env={**os.environ, "LAYOUTLM_RUN_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def status_line(folder: Path) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(worker_status(folder, "--json").stdout)
    return line


def log_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines() if line.startswith("{")]


def test_an_idle_worker_is_ready_with_its_first_poll_keeps_its_watchdog_and_says_that_it_stops(
    stack: LocalStack, run_dir: Path, manager: Manager
) -> None:
    with worker(stack, manager, LAYOUTLM_LEASE_SECOND="30") as process:
        manager.wait_for("READY=1")
        assert "STATUS=starting; 0 handled" in manager.heard
        [opened] = [line for line in log_lines(run_dir) if line["event"] == "worker ready"]
        assert time.time() - datetime.fromisoformat(opened["time"]).timestamp() >= 0.9
        for _ in range(5):
            manager.wait_for("WATCHDOG=1")
        answer = worker_status(run_dir)
        assert "LAYOUTLM_LEASE_SECOND is no setting" in answer.stdout.replace("\n", " ")
        assert answer.returncode == 0, answer.stdout
        assert f"train worker {process.pid}" in answer.stdout
        assert "idle for" in answer.stdout
        manager.arrived()  # what nobody takes fills the socket
        process.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1", "EXTEND_TIMEOUT_USEC=131000000")
        assert process.wait(PATIENCE_SECONDS) == 0
    assert manager.heard.count("READY=1") == 1
    assert not list(run_dir.glob("*.sock"))


def test_a_worker_whose_loop_is_blocked_sends_no_watchdog_and_is_shown_as_one_that_does_not_answer(
    stack: LocalStack, run_dir: Path, manager: Manager
) -> None:
    with worker(stack, manager) as process:
        manager.wait_for("READY=1")
        process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "blocked" in (run_dir / "log").read_text())
        manager.arrived()
        answer = worker_status(run_dir)
        assert answer.returncode == 1
        assert "it did not answer within 2 s" in answer.stdout
        assert manager.arrived() == []
        process.send_signal(signal.SIGUSR2)
        manager.wait_for("WATCHDOG=1")


def test_a_worker_whose_aws_is_gone_sends_no_watchdog_and_says_why(run_dir: Path, manager: Manager) -> None:
    with MotoServer() as emulator:
        stack = LocalStack.make(emulator)
        with worker(stack, manager, TEST_POLL_MARGIN_SECONDS="0.5"):
            manager.wait_for("READY=1")
            emulator.stop()
            manager.wait_for("STATUS=idle; 0 handled; not fresh: poll")
            manager.arrived()
            answer = worker_status(run_dir)
            assert answer.returncode == 1
            assert "no receive was answered for" in answer.stdout
            assert "WATCHDOG=1" not in manager.arrived()


def test_a_busy_worker_shows_its_job_its_child_and_its_stop(
    stack: LocalStack, run_dir: Path, manager: Manager
) -> None:
    body = {"job_id": JOB_ID, "job_name": "demo", "tags": {"script": "stubborn"}}
    stack.client("sqs").send_message(
        QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody=json.dumps(body)
    )
    with worker(stack, manager) as process:
        manager.wait_for(f"STATUS=working: train {JOB_ID}, attempt 1; 0 handled")
        wait_until(lambda: status_line(run_dir)["report"]["child_pid"] is not None)
        status = status_line(run_dir)
        assert (status["kind"], status["pid"], status["fresh"]) == ("train", process.pid, True)
        report = status["report"]
        assert (report["state"], report["job"]) == (
            "working",
            {"kind": "train", "job_id": JOB_ID, "attempt": 1},
        )
        assert report["signs"]["beat"]["limit_seconds"] == 45
        assert report["signs"]["child"]["age_seconds"] < report["signs"]["child"]["limit_seconds"] == 900
        assert report["signs"]["poll"]["limit_seconds"] is None
        assert report["signs"]["loop"]["age_seconds"] < report["signs"]["loop"]["limit_seconds"] == 2
        manager.arrived()
        manager.wait_for("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        manager.wait_for(f"STATUS=stopping: train {JOB_ID}, attempt 1; 0 handled")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0


def test_no_worker_is_an_answer_of_its_own(run_dir: Path) -> None:
    answer = worker_status(run_dir / "nowhere")
    assert answer.returncode == 3
    assert (answer.stdout, "no worker runs on this host" in answer.stderr) == ("", True)


async def test_a_run_folder_that_cannot_be_used_stops_the_start(stack: LocalStack, run_dir: Path) -> None:
    settings = stack.settings.model_copy(update={"run_dir": run_dir / ("x" * 100)})
    assert await daemon.run_daemon("train", settings, once=True) == 78


async def test_a_watch_that_fails_is_logged(
    stack: LocalStack, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Health) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(daemon, "monitor_loop", fail)
    settings = stack.settings.model_copy(update={"run_dir": run_dir, "poll_seconds": 0})
    with capture_logs() as logs:
        assert await daemon.run_daemon("train", settings, once=True) == 0
    assert "ValueError: broken" in [line.get("error") for line in logs]


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
