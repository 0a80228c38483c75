"""Runs the demo's processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from receipt_dynamo.client import DynamoClient
from workers.errors import WorkerError
from workers.local_aws.local_stack import LocalStack, MotoServer

CLI = (sys.executable, "-m", "layoutlm_cli")
STOP_SECONDS = 30
WAIT_SECONDS = 1200

Show = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class Worker:
    """One worker process, its log, and how much of the log was shown."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    shown: int = 0

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        text = self.log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]

    def show_new(self, show: Show) -> None:
        """Show what it has logged since the last time.

        Raises:
            WorkerError: it has ended, which a worker does not do by itself.
        """
        lines = self.lines()
        for line in lines[self.shown :]:
            show(self.name, line)
        self.shown = len(lines)
        if self.process.poll() is not None:
            raise WorkerError(f"{self.name} ended early: {self.log.read_text(encoding='utf-8')[-2000:]}")


@dataclass(slots=True)
class DemoRunner:
    """One run of the whole path.

    Attributes:
        stack: the local AWS.
        trained: the result of the training, once it is there.
        exported: the result of the export, once it is there.
    """

    stack: LocalStack
    folder: Path
    exits: ExitStack
    workers: list[Worker] = field(default_factory=list)
    trained: dict[str, Any] | None = None
    exported: dict[str, Any] | None = None
    _marks: dict[str, float] = field(default_factory=dict)
    _sent_at: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether both results are there and good."""
        good = (self.trained or {}).get("status"), (self.exported or {}).get("status")
        return good == ("succeeded", "SUCCEEDED")

    def fill(self, command: list[str]) -> None:
        """Put receipts into the table by a command of ours."""
        started = time.monotonic()
        done = subprocess.run([*CLI, *command], env=self.stack.child_environ(), check=False)  # noqa: S603 - our own
        if done.returncode:
            raise WorkerError(f"`layoutlm-cli {' '.join(command)}` failed; above stands why.")
        self._marks["receipts into the table"] = time.monotonic() - started

    def start_workers(self) -> None:
        """Start both daemons."""
        for name in ("train-worker", "export-worker"):
            self.workers.append(self.exits.enter_context(_worker(name, self.stack, self.folder)))

    def send(self, hyperparameters: dict[str, str]) -> None:
        """Send one train message, as an operator would."""
        options = {"pretrained_model": "scratch:tiny", "no_frozen_val": "true", **hyperparameters}
        body = json.dumps({"job_name": "layoutlm-demo", "use_spot": False, "hyperparameters": options})
        self._sent_at = time.time()
        queue = self.stack.environ["TRAIN_JOB_QUEUE_URL"]
        self.stack.client("sqs").send_message(QueueUrl=queue, MessageBody=body)

    def wait(self, show: Show) -> None:
        """Wait for both results, or for the first one that is no success.

        Raises:
            WorkerError: a worker ended, or nothing came in time.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            for worker in self.workers:
                worker.show_new(show)
            self.trained = self.trained or self._receive("TRAIN_RESULTS_QUEUE_URL")
            if self.trained:
                self.exported = self._receive("COREML_EXPORT_RESULTS_QUEUE_URL")
            if self.exported or (self.trained and self.trained["status"] != "succeeded"):
                return
        raise WorkerError(f"No result came within {WAIT_SECONDS} seconds.")

    def label_scores(self) -> dict[str, dict[str, float]]:
        """Each label's scores in the best epoch."""
        if self.trained is None:
            return {}
        client = DynamoClient(self.stack.environ["DYNAMO_TABLE_NAME"], client=self.stack.client("dynamodb"))
        return {
            metric.metric_name.removeprefix("label_"): metric.value
            for metric in client.list_job_metrics(self.trained["job_id"]).items
            if metric.metric_name.startswith("label_")
            and metric.epoch == self.trained.get("best_epoch")
            and isinstance(metric.value, dict)
        }

    def hops(self) -> dict[str, float]:
        """Seconds between the steps, by the daemons' own log lines."""
        hops, before = dict(self._marks), self._sent_at
        for worker, what in zip(self.workers, ("training", "export"), strict=False):
            for line in worker.lines():
                name = {
                    "child started": f"{what}: from queue to child",
                    "attempt ended": f"{what}: child at work",
                }.get(line["event"])
                if name is not None:
                    at = datetime.fromisoformat(line["time"]).timestamp()
                    hops[name], before = at - before, at
        hops["all, from message to bundle"] = before - self._sent_at
        return hops

    def _receive(self, variable: str) -> dict[str, Any] | None:
        answer = self.stack.client("sqs").receive_message(
            QueueUrl=self.stack.environ[variable], WaitTimeSeconds=1
        )
        for message in answer.get("Messages", ()):
            body: dict[str, Any] = json.loads(message["Body"])
            return body
        return None


@contextmanager
def rehearsal() -> Iterator[DemoRunner]:
    """A stage that is cleared at the end, workers and emulator included."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="receipt-layoutlm-demo-")))
        stack = LocalStack.make(exits.enter_context(MotoServer()))
        yield DemoRunner(stack, folder, exits)


@contextmanager
def _worker(name: str, stack: LocalStack, folder: Path) -> Iterator[Worker]:
    log = folder / f"{name}.log"
    environ = stack.child_environ(LAYOUTLM_POLL_SECONDS="2", LAYOUTLM_WORK_DIR=str(folder / "work"))
    with log.open("wb") as stream:
        process = subprocess.Popen([*CLI, name], env=environ, stderr=stream, stdout=stream)  # noqa: S603 - our own command
    try:
        yield Worker(name, process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
