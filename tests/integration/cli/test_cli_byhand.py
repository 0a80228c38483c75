"""`layoutlm-cli train` interrupted in the middle of a real training: the same command goes on with it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from receipt_dynamo.client import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from workers.local_aws.local_stack import LocalStack

QUEUES = ("TRAIN_JOB_QUEUE_URL", "TRAIN_RESULTS_QUEUE_URL", "COREML_EXPORT_JOB_QUEUE_URL")
EPOCHS = 8
OPTIONS = (
    *(
        "--pretrained-model",
        "scratch:tiny",
        "--no-frozen-val",
        "true",
        "--allowed-labels",
        "DATE,GRAND_TOTAL",
    ),
    *("--epochs", str(EPOCHS), "--early-stopping-patience", "0"),
)


class Hand:
    """A person at a terminal, with a stack of their own."""

    def __init__(self, stack: LocalStack, work_dir: Path, client: DynamoClient) -> None:
        self.client = client
        more = {"LAYOUTLM_WORK_DIR": str(work_dir), "LAYOUTLM_LEASE_SECONDS": "6"}
        more |= {"LAYOUTLM_POLL_SECONDS": "1", "OMP_NUM_THREADS": "1"}
        self._environ = stack.child_environ(**more, **dict.fromkeys(QUEUES, ""))
        write_records(client, synthetic.generate(12, 0))

    def type(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "layoutlm_cli", *arguments]
        return subprocess.Popen(
            command, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for_a_checkpoint(self, process: subprocess.Popen[str]) -> str:
        while process.poll() is None:
            for job in self.client.get_job_by_name("hand").items:
                if self.client.list_job_checkpoints(job.job_id).items:
                    return job.job_id
            time.sleep(0.05)
        raise AssertionError(process.communicate()[1][-2000:])

    def steps_of_attempts(self, job_id: str) -> dict[int | None, set[int]]:
        found: dict[int | None, set[int]] = {}
        for one in self.client.list_job_checkpoints(job_id).items:
            found.setdefault(one.attempt, set()).add(one.step)
        return found


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output, and what is no log line of standard error."""
    printed, errors = process.communicate(timeout=240)
    assert "Traceback" not in errors
    return process.returncode, printed, "\n".join(line for line in errors.splitlines() if line[:1] != "{")


@pytest.fixture
def hand(stack: LocalStack, tmp_path: Path, client: DynamoClient) -> Hand:
    return Hand(stack, tmp_path, client)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        signal.SIGKILL,
    ],
)
def test_a_training_that_was_interrupted_goes_on_under_its_name_and_id(
    hand: Hand, number: signal.Signals
) -> None:
    process = hand.type("train", "hand", *OPTIONS)
    job_id = hand.wait_for_a_checkpoint(process)
    process.send_signal(number)
    code, _, said = end(process)
    if number is signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 75
        assert "kept: s3://" in said
        assert said.splitlines()[-3:] == [
            "go on with: layoutlm-cli train hand",
            f"give it up with: layoutlm-cli cancel {job_id}",
            "hand is interrupted: it was stopped",
        ]
        assert hand.client.get_job(job_id).status == "interrupted"

    code, printed, said = end(hand.type("train", "hand"))
    while code == 75:  # until the lease of the killed one has run out
        assert number is signal.SIGKILL
        assert "the same command goes on with the job after that moment" in said
        code, printed, said = end(hand.type("train", "hand"))
    assert code == 0, said
    assert f"goes on with job {job_id}: attempt 2" in said
    assert "hand succeeded: best F1" in printed
    [job] = hand.client.get_job_by_name("hand").items
    assert (job.job_id, job.status, job.attempt) == (job_id, "succeeded", 2)
    steps = hand.steps_of_attempts(job_id)
    assert max(steps[1]) < min(steps[2])
    epochs = {one.epoch for one in hand.client.list_job_metrics(job_id, "val_f1").items}
    assert epochs == {float(number) for number in range(1, EPOCHS + 1)}


@pytest.mark.slow
def test_a_child_that_crashes_fails_the_job_with_the_reason_as_the_last_line(hand: Hand) -> None:
    process = hand.type("train", "hand", *OPTIONS)
    job_id = hand.wait_for_a_checkpoint(process)
    [child] = psutil.Process(process.pid).children()
    child.kill()
    code, _, said = end(process)
    assert code == 65
    kept, reason = said.splitlines()[-2:]
    assert kept.startswith("kept: s3://")
    assert "--resume-from-s3" in kept
    assert reason.startswith("error: hand failed: The process was killed")
    job = hand.client.get_job(job_id)
    assert (job.status, reason) == ("failed", f"error: hand failed: {job.error_message}")
