"""Real daemons as processes against the emulator: started, fed, listened to, and ended."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from workers.local_aws.local_stack import LocalStack

PATIENCE_SECONDS = 120
LOOK_SECONDS = 0.005


class Daemon:
    """A daemon that runs, and what its log says."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, calls: Path) -> None:
        self.process = process
        self.calls = calls
        self.seen = psutil.Process(process.pid)
        self._stream = log.open(encoding="utf-8")
        self._unread = ""
        self._lines: list[dict[str, Any]] = []

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the log has that event so many times; returns these lines.

        Raises:
            TimeoutError: it has not after two minutes.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found := self._find(event)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {event!r} number {count} in {self._lines[-20:]}")
            time.sleep(LOOK_SECONDS)
        return found[:count]

    def cpu_seconds(self) -> tuple[float, float]:
        """What the daemon has taken so far, and what its children have that it reaped."""
        times = self.seen.cpu_times()
        return times.user + times.system, times.children_user + times.children_system

    def end(self) -> None:
        """End it by force, if it still runs."""
        self.process.kill()
        self.process.wait()
        self._stream.close()

    def _find(self, event: str) -> list[dict[str, Any]]:
        *whole, self._unread = (self._unread + self._stream.read()).split("\n")
        self._lines += [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in self._lines if line["event"] == event]


@contextmanager
def running(
    stack: LocalStack, child: str | None, *, name: str = "train-worker", calls: bool = False, **environ: str
) -> Iterator[Daemon]:
    """A daemon that is about to poll.

    Args:
        stack: its AWS.
        child: which of our modules its children run; None starts the command itself, where no job is sent.
        name: which command.
        calls: whether it writes its requests down.
        environ: further settings.
    """
    with tempfile.TemporaryDirectory(prefix="run-") as folder:
        log, calls_file = Path(folder) / "log", Path(folder) / "calls"
        variables = {
            "BENCH_CHILD": f"benchmarks.{child}",
            "LAYOUTLM_RUN_DIR": folder,
            "LAYOUTLM_WORK_DIR": f"{folder}/work",
            "BENCH_CALLS": str(calls_file) if calls else "",
            **environ,
        }
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker" if child else "layoutlm_cli", name],
                env=stack.child_environ(**variables),
                stderr=stream,
            )
        daemon = Daemon(process, log, calls_file)
        try:
            daemon.wait_for("worker ready")
            yield daemon
        finally:
            daemon.end()


@dataclass(frozen=True, slots=True)
class Jobs:
    """The queue of trainings, as whoever sends them sees it."""

    sqs: Any
    url: str

    @classmethod
    def of(cls, stack: LocalStack) -> Jobs:
        """Make the client now: that takes longer than most of what is measured."""
        return cls(stack.client("sqs"), stack.environ["TRAIN_JOB_QUEUE_URL"])

    def send(self, count: int = 1) -> None:
        """Send so many trainings that ask for no export."""
        for _ in range(count):
            body = {"job_name": f"bench-{uuid.uuid4().hex[:12]}", "auto_export": False}
            self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(body))

    def take(self) -> int:
        """Ask for a message until there is one, and delete it; returns how often it has been received.

        Nothing waits in the queue for it: the emulator looks only once a second then.
        """
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.url, WaitTimeSeconds=0, MessageSystemAttributeNames=["ApproximateReceiveCount"]
            )
            for message in answer.get("Messages", ()):
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                return int(message["Attributes"]["ApproximateReceiveCount"])
            time.sleep(LOOK_SECONDS)


def moment(line: dict[str, Any]) -> float:
    """When a line was logged, in seconds since 1970."""
    return datetime.fromisoformat(line["time"]).timestamp()
