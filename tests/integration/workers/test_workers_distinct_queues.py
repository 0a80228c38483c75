"""Queues that are one, or the dead-letter queue of another: refused before the first message is taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from workers.local_aws.local_stack import LocalStack

ARN = "arn:aws:sqs:us-east-1:123456789012:"


def start(stack: LocalStack, name: str, **environ: str) -> tuple[int, str]:
    answer = subprocess.run(
        [sys.executable, "-m", "layoutlm_cli", name, "--once"],
        env=stack.child_environ(LAYOUTLM_POLL_SECONDS="0", **environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return answer.returncode, answer.stderr


def depth(stack: LocalStack, variable: str) -> int:
    answer = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.environ[variable], AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


@pytest.mark.parametrize(
    ("worker", "one", "other"),
    [
        ("train-worker", "TRAIN_RESULTS_QUEUE_URL", "TRAIN_JOB_QUEUE_URL"),
        ("train-worker", "COREML_EXPORT_JOB_QUEUE_URL", "TRAIN_JOB_QUEUE_URL"),
        ("export-worker", "COREML_EXPORT_RESULTS_QUEUE_URL", "COREML_EXPORT_JOB_QUEUE_URL"),
    ],
)
def test_one_queue_for_two_ends_the_start_and_takes_no_message(
    stack: LocalStack, worker: str, one: str, other: str
) -> None:
    stack.client("sqs").send_message(QueueUrl=stack.environ[other], MessageBody="unreadable")
    same = stack.environ[other].replace("127.0.0.1", "localhost")
    code, said = start(stack, worker, **{one: same})
    assert code == 78
    assert "name the same queue" in said
    assert one in said
    assert other in said
    assert depth(stack, other) == 1


@pytest.mark.parametrize(
    ("worker", "one", "other"),
    [
        ("train-worker", "TRAIN_RESULTS_QUEUE_URL", "TRAIN_JOB_QUEUE_URL"),
        ("export-worker", "COREML_EXPORT_RESULTS_QUEUE_URL", "COREML_EXPORT_JOB_QUEUE_URL"),
    ],
)
def test_what_only_sqs_knows_to_be_one_queue_is_found_by_its_arn(
    stack: LocalStack, worker: str, one: str, other: str
) -> None:
    # The emulator, like other stand-ins for SQS, takes any account for its own.
    same = stack.environ[other].replace("/123456789012/", "/queue/")
    code, said = start(stack, worker, **{one: same})
    assert code == 78
    assert f"name the same queue ({ARN}" in said


@pytest.mark.parametrize(
    ("worker", "queue", "target"),
    [
        ("train-worker", "TRAIN_JOB_QUEUE_URL", "TRAIN_RESULTS_QUEUE_URL"),
        ("train-worker", "TRAIN_RESULTS_QUEUE_URL", "TRAIN_JOB_QUEUE_URL"),
        ("export-worker", "COREML_EXPORT_JOB_QUEUE_URL", "COREML_EXPORT_RESULTS_QUEUE_URL"),
    ],
)
def test_a_queue_that_another_ones_dead_letters_go_to_is_refused(
    stack: LocalStack, worker: str, queue: str, target: str
) -> None:
    arn = ARN + stack.environ[target].rsplit("/", 1)[1]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    stack.client("sqs").set_queue_attributes(
        QueueUrl=stack.environ[queue], Attributes={"RedrivePolicy": policy}
    )
    code, said = start(stack, worker)
    assert code == 78
    assert f"{target} is the dead-letter queue of {queue} ({arn})" in said


@pytest.mark.parametrize("command", [["submit", "train", "demo"], ["results", "train"], ["dlq", "list"]])
def test_no_command_works_with_one_queue_for_two(stack: LocalStack, command: list[str]) -> None:
    url = stack.environ["TRAIN_JOB_QUEUE_URL"]
    stack.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    answer = subprocess.run(
        [sys.executable, "-m", "layoutlm_cli", *command],
        env={**os.environ, **stack.environ, "TRAIN_RESULTS_QUEUE_URL": f"{url}/"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 78
    assert answer.stderr.startswith("error: ")
    assert "TRAIN_JOB_QUEUE_URL and TRAIN_RESULTS_QUEUE_URL name the same queue" in answer.stderr
    assert depth(stack, "TRAIN_JOB_QUEUE_URL") == 1


def test_a_mistyped_setting_is_a_warning_of_the_start(stack: LocalStack) -> None:
    code, said = start(stack, "train-worker", LAYOUTLM_LEASE_SECOND="30")
    assert code == 0
    warning = next(line for line in map(json.loads, said.splitlines()) if line["level"] == "warning")
    assert warning["event"].startswith("LAYOUTLM_LEASE_SECOND is no setting and has no effect")
