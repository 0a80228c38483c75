"""How long a command takes to answer, and a message to become a child."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import datetime
from pathlib import Path

from workers.local import Emulator, LocalStack

RUNS = 9
JOBS = 15


def measure() -> None:
    """`--help` against a bare interpreter, and sent-to-started over jobs that fail at once."""
    _help()
    _sent_to_started()


def _help() -> None:
    bare, command = [], []
    for _ in range(RUNS):
        bare.append(_seconds([sys.executable, "-c", "pass"]))
        command.append(_seconds([sys.executable, "-m", "layoutlm_cli", "--help"]))
    ours, base = statistics.median(command), statistics.median(bare)
    print(f"layoutlm-cli --help: median {ours:.3f} s, {ours / base:.1f} x a bare interpreter ({base:.3f} s)")


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _sent_to_started() -> None:
    with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
        stack = LocalStack.make(emulator)
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            worker = subprocess.Popen(
                [sys.executable, "-m", "layoutlm_cli", "train-worker"],
                env=stack.child_environ(LAYOUTLM_WORK_DIR=folder),
                stderr=stream,
            )
        try:
            _wait_for(log, "worker ready", 1)
            took = [_one_job(stack, log, number) for number in range(1, JOBS + 1)]
        finally:
            worker.terminate()
            worker.wait()
    print(
        f"message sent to child started: median {statistics.median(took) * 1000:.0f} ms, worst "
        f"{max(took) * 1000:.0f} ms of {JOBS}"
    )


def _one_job(stack: LocalStack, log: Path, number: int) -> float:
    # A name that is taken by nobody, and no receipts: the child starts, and ends with its reason.
    body = {
        "job_name": f"bench-{uuid.uuid4().hex[:8]}",
        "hyperparameters": {"pretrained_model": "scratch:tiny"},
    }
    sqs = stack.client("sqs")
    sent = time.time()
    sqs.send_message(QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody=json.dumps(body))
    line = _wait_for(log, "child started", number)
    _wait_for(log, "message handled", number)
    return datetime.fromisoformat(line["time"]).timestamp() - sent


def _wait_for(log: Path, event: str, count: int) -> dict[str, str]:
    for _ in range(6000):
        text = log.read_text().splitlines()
        lines: list[dict[str, str]] = [json.loads(line) for line in text if line.endswith("}")]
        found = [line for line in lines if line.get("event") == event]
        if len(found) >= count:
            return found[count - 1]
        time.sleep(0.01)
    raise TimeoutError(f"no {event} in {log.read_text()[-1000:]}")
