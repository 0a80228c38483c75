"""The lines of a real daemon with a scripted child: what they measure, and whose job each one is of."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from receipt_dynamo.clock import TableClock, now, steady_seconds
from receipt_dynamo.entities import JobLease
from receipt_dynamo.errors import NetworkError
from tests.support.embedded_metrics import metrics_of
from tests.support.measured_child import COST, SECONDS, SPEED
from tests.support.work import training_bench
from workers.health import Health
from workers.local_aws.local_stack import LocalStack
from workers.runtime.lease import Lease

JOB_ID = "0b7f8a52-7a55-4ab4-8f0e-53a3b0b8a0c1"
KIND = (("worker_kind", "train"),)
DONE = (("worker_kind", "train"), ("ending", "DONE"))
WORKER = (
    "from layoutlm_cli.main import main\n"
    "from workers.jobs.training import TrainingHandler\n"
    "TrainingHandler.module = 'tests.support.measured_child'\n"
    "main()\n"
)


def work_once(stack: LocalStack, folder: Path, **environ: str) -> tuple[str, float, list[dict[str, Any]]]:
    """One job by a real daemon; returns the message's id, when it was sent, and the daemon's lines."""
    body = {"job_id": JOB_ID, "job_name": "measured", "auto_export": False}
    sent_at = time.time()
    message = stack.client("sqs").send_message(
        QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody=json.dumps(body)
    )
    answer = subprocess.run(
        [sys.executable, "-c", WORKER, "train-worker", "--once", "--verbose"],
        env=stack.child_environ(LAYOUTLM_POLL_SECONDS="0", LAYOUTLM_WORK_DIR=str(folder), **environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return message["MessageId"], sent_at, [json.loads(line) for line in answer.stderr.splitlines()]


def test_a_run_is_measured_line_by_line_and_each_line_says_whose_it_is(
    stack: LocalStack, tmp_path: Path
) -> None:
    message_id, sent_at, lines = work_once(stack, tmp_path, LAYOUTLM_METRICS="emf")
    measured = [(line, metrics_of(line)) for line in lines if "_aws" in line]
    found = {name: metric for _, metrics in measured for name, metric in metrics.items()}
    for name, value in {**SPEED, "cost_usd": COST, "attempts": 1}.items():
        assert found[name][0] == value
        assert found[name][2][0] == KIND
    assert found["attempt_seconds"][0] >= SECONDS
    assert found["job_seconds"][0] >= found["attempt_seconds"][0]
    assert found["job_seconds"][2] == [KIND, DONE]
    assert found["idle_seconds"][0] >= 0
    claimed = next(line for line in lines if line["event"] == "job claimed")
    waited = datetime.fromisoformat(claimed["time"]).timestamp() - sent_at
    assert 0 < found["queue_seconds"][0] <= waited + 1  # the table's clock may be another one
    assert found["queue_seconds"][0] >= waited - 1
    assert_named(lines, message_id)


def assert_named(lines: list[dict[str, Any]], message_id: str) -> None:
    """Each line of the job says message, job and attempt; those of the child, too."""
    events = [line["event"] for line in lines]
    begin, end = events.index("job claimed"), events.index("message handled")
    of_job = lines[begin : end + 1]
    assert {"child started", "child", "epoch 1 has F1 0.5", "attempt ended"} <= set(events[begin:end])
    assert {(line.get("message_id"), line.get("job_id"), line.get("attempt")) for line in of_job} == {
        (message_id, JOB_ID, 1)
    }


def test_nothing_is_a_metric_and_no_poll_has_a_line_unless_that_was_asked_for(
    stack: LocalStack, tmp_path: Path
) -> None:
    message_id, _, lines = work_once(stack, tmp_path)
    assert not [line for line in lines if "_aws" in line or line["event"] == "waited for a message"]
    assert_named(lines, message_id)


class Unreachable:
    """A table that the network does not reach."""

    clock = TableClock()

    async def renew_lease(self, *_: object, **__: object) -> JobLease:
        raise NetworkError("no route")


async def test_each_beat_that_fails_is_counted(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send("{}")
        message = await bench.queue.receive(wait_seconds=0, visibility_seconds=3)
        assert message is not None
        record = await bench.aws.table.claim_lease(
            JOB_ID,
            kind="train",
            claim_id=str(uuid.uuid4()),
            worker="bench",
            now=now(),
            expires_at=bench.aws.table.clock.text(1.5),
            body="{}",
        )
        settings = bench.settings.model_copy(update={"lease_seconds": 1.5})
        table: Any = Unreachable()
        lease = Lease(record, steady_seconds(), table, bench.queue, message, settings, Health())
        with structlog.testing.capture_logs() as said:
            async with lease.held():
                await asyncio.wait_for(lease.lost.wait(), 30)
    failures = [line["beat_failures"] for line in said if line["event"] == "lease not renewed yet"]
    assert failures
    assert set(failures) == {1}
