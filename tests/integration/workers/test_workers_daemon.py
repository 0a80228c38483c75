"""The daemon as a process: how it starts, waits and ends, and what it says when it cannot."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from workers.local_aws.local_stack import LocalStack


def run(stack: LocalStack, name: str = "train-worker", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "layoutlm_cli", name, "--once"],
        env=stack.child_environ(LAYOUTLM_POLL_SECONDS="0", **environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def last_line(answer: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(answer.stderr.splitlines()[-1])
    return line


@pytest.mark.parametrize("name", ["train-worker", "export-worker"])
def test_once_ends_well_when_nothing_waits(stack: LocalStack, name: str) -> None:
    answer = run(stack, name)
    assert answer.returncode == 0
    assert last_line(answer)["event"] == "worker stopped"


def test_a_missing_setting_is_named(stack: LocalStack) -> None:
    answer = run(stack, TRAIN_JOB_QUEUE_URL="", LAYOUTLM_TRAINING_BUCKET="")
    assert answer.returncode == 78
    assert "LAYOUTLM_TRAINING_BUCKET, TRAIN_JOB_QUEUE_URL are not set" in last_line(answer)["error"]


def test_a_wrong_setting_is_named(stack: LocalStack) -> None:
    answer = run(stack, LAYOUTLM_LEASE_SECONDS="-3")
    assert answer.returncode == 78
    assert "LAYOUTLM_LEASE_SECONDS" in answer.stderr


def test_a_table_that_does_not_exist_is_named(stack: LocalStack) -> None:
    answer = run(stack, DYNAMO_TABLE_NAME="NoSuchTable")
    assert answer.returncode == 78
    assert "NoSuchTable" in last_line(answer)["error"]


def test_a_queue_that_does_not_exist_is_named(stack: LocalStack) -> None:
    answer = run(stack, TRAIN_JOB_QUEUE_URL=f"{stack.environ['AWS_ENDPOINT_URL']}/123456789012/nowhere")
    assert answer.returncode == 78
    assert "nowhere" in last_line(answer)["error"]


def test_a_results_queue_that_does_not_exist_is_named_before_any_work(stack: LocalStack) -> None:
    answer = run(stack, TRAIN_RESULTS_QUEUE_URL=f"{stack.environ['AWS_ENDPOINT_URL']}/123456789012/nowhere")
    assert answer.returncode == 78
    assert "nowhere" in last_line(answer)["error"]


def test_no_credentials_is_an_ending_of_its_own(stack: LocalStack, tmp_path: Path) -> None:
    answer = run(
        stack,
        AWS_ACCESS_KEY_ID="",
        AWS_SECRET_ACCESS_KEY="",
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "none"),
        AWS_CONFIG_FILE=str(tmp_path / "none"),
        AWS_EC2_METADATA_DISABLED="true",
    )
    assert answer.returncode == 77
    assert "No AWS credentials" in last_line(answer)["error"]


def test_a_waiting_daemon_is_small_without_torch_and_ends_with_its_poll(
    stack: LocalStack, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "layoutlm_cli", "train-worker"],
            env=stack.child_environ(LAYOUTLM_POLL_SECONDS="1"),
            stderr=stream,
        )
    try:
        wait_for_line(log, "worker ready")
        seen = psutil.Process(process.pid)
        assert seen.memory_info().rss < 100e6
        assert not [path for path in (m.path for m in seen.memory_maps()) if "torch" in path]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def wait_for_line(log: Path, event: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if event in log.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {event!r} in {log.read_text()[-2000:]}")
