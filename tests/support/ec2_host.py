"""An EC2 host for a test: fake metadata and Auto Scaling, the real daemon, means to look at both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receipt_dynamo import DynamoClient
from tests.support.checkpointing import CHECKPOINT
from tests.support.fake_hooks import HookedAws, hooked_aws
from tests.support.fake_imds import FakeImds
from workers.local_aws.local_stack import LocalStack
from workers.telemetry.status_socket import read_statuses

JOB_ID = "8d7c1c1f-2a2f-4d0e-9a51-6d5a5c7b2f10"
PATIENCE_SECONDS = 60


@dataclass
class Stage:
    """The host, its surroundings, and means to look at them."""

    stack: LocalStack
    imds: FakeImds
    aws: HookedAws
    run_dir: Path
    client: DynamoClient
    sqs: Any
    s3: Any

    def send(self, script: str, job_id: str = JOB_ID) -> None:
        body = {"job_id": job_id, "job_name": f"demo-{job_id[:8]}", "tags": {"script": script}}
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(body))

    @property
    def queue_url(self) -> str:
        return self.stack.environ["TRAIN_JOB_QUEUE_URL"]

    def visible(self) -> int:
        names = ["ApproximateNumberOfMessages"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
        return int(answer["Attributes"][names[0]])

    def has_checkpoint(self) -> bool:
        found = self.s3.list_objects_v2(Bucket=self.stack.environ["LAYOUTLM_TRAINING_BUCKET"])
        return any(one["Key"].endswith(CHECKPOINT) for one in found.get("Contents", ()))

    def notes(self) -> list[tuple[str, str | None]]:
        return [(note.status, note.message) for note in self.client.list_job_statuses(JOB_ID).items]

    def report(self) -> Any:
        """What `worker-status` shows."""
        [status] = read_statuses(self.run_dir)
        return status.report

    def worker_status(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "layoutlm_cli", "worker-status"],
            env={**os.environ, "LAYOUTLM_RUN_DIR": str(self.run_dir), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    def lines(self) -> list[dict[str, Any]]:
        """What the worker has logged."""
        lines = (self.run_dir / "log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]

    @contextmanager
    def worker(self, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
        where = {
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.imds.url,
            "LAYOUTLM_RUN_DIR": str(self.run_dir),
            "LAYOUTLM_WORK_DIR": str(self.run_dir / "work"),
            "LAYOUTLM_POLL_SECONDS": "1",
        }
        with (self.run_dir / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.checkpointing", "train-worker"],
                env=self.stack.child_environ(**where, **environ),
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def host(stack: LocalStack, imds: FakeImds, run_dir: Path) -> Iterator[Stage]:
    """The host's surroundings; its worker is yours to start."""
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    with hooked_aws(stack.environ["AWS_ENDPOINT_URL"]) as aws:
        yield Stage(stack, imds, aws, run_dir, client, stack.client("sqs"), stack.client("s3"))


def wait_until(condition: Callable[[], Any], stage: Stage) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, (stage.run_dir / "log").read_text()[-3000:]
        time.sleep(0.05)
