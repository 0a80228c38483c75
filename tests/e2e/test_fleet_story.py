"""The whole fleet on emulated AWS: a backlog, a host that Spot takes back, another that goes on, all off.

Hosts are processes with an instance metadata service of their own; the alarm that would start them is played
by looking at the queue as it does. Training, export and Lambda are real.
"""

from __future__ import annotations

import json
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from receipt_dynamo import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from tests.support.fake_hooks import Fleet
from tests.support.fake_imds import FakeImds, fake_imds
from workers.local_aws.local_stack import LocalStack

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
NAME = "fleet-story"
PATIENCE_SECONDS = 180
IDLE_MINUTES = "0.05"


@dataclass
class Story:
    """The surroundings, and what happened when."""

    stack: LocalStack
    folder: Path
    client: DynamoClient
    timeline: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def reached(self, what: str) -> None:
        self.timeline.append(f"{time.monotonic() - self.started:.0f} s {what}")

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            logs = "\n".join(log.read_text()[-1500:] for log in self.folder.glob("*.log"))
            assert time.monotonic() < deadline, f"{what} never came; {self.timeline}\n{logs}"
            time.sleep(0.2)
        self.reached(what)

    def depth(self, variable: str) -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.stack.client("sqs").get_queue_attributes(
            QueueUrl=self.stack.environ[variable], AttributeNames=names
        )
        visible, hidden = (int(answer["Attributes"][name]) for name in names)
        return visible, hidden

    @contextmanager
    def host(self, name: str, imds: FakeImds) -> Iterator[subprocess.Popen[bytes]]:
        """A worker's process on a host of its own."""
        environ = {
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
            "LAYOUTLM_RUN_DIR": str(self.folder / name / "run"),
            "LAYOUTLM_WORK_DIR": str(self.folder / name / "work"),
            "LAYOUTLM_POLL_SECONDS": "1",
            "LAYOUTLM_LEASE_SECONDS": "20",
            "LAYOUTLM_IDLE_MINUTES": IDLE_MINUTES,
            "OMP_NUM_THREADS": "1",
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "layoutlm_cli", f"{name.split('-', maxsplit=1)[0]}-worker"],
                env=self.stack.child_environ(**environ),
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @property
    def job(self) -> Any:
        found = self.client.get_job_by_name(NAME).items
        return found[0] if found else SimpleNamespace(status="unknown", results={}, attempt=0)


@pytest.fixture
def story(stack: LocalStack, run_dir: Path) -> Story:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(client, synthetic.generate(30, 5))
    return Story(stack, run_dir, client)


def send(stack: LocalStack) -> None:
    body = {
        "job_name": NAME,
        "hyperparameters": {
            "pretrained_model": "scratch:tiny",
            "epochs": "4",
            "early_stopping_patience": "0",
            "learning_rate": "1e-3",
            "no_frozen_val": "true",
        },
    }
    stack.client("sqs").send_message(
        QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody=json.dumps(body)
    )


def scale_out(story: Story, fleet: Fleet, size: int) -> str:
    """What the alarm on visible messages does; returns the new instance."""
    visible, _ = story.depth("TRAIN_JOB_QUEUE_URL")
    assert visible > 0
    before = set(fleet.instances)
    fleet.client.set_desired_capacity(AutoScalingGroupName=fleet.name, DesiredCapacity=size)
    [new] = set(fleet.instances) - before
    return new


def terminate(fleet: Fleet, instance: str) -> None:
    """What EC2 does at the end of a Spot notice."""
    fleet.client.terminate_instance_in_auto_scaling_group(
        InstanceId=instance, ShouldDecrementDesiredCapacity=True
    )


def process_results(story: Story) -> dict[str, Any]:
    """The Lambda on the export results, invoked with what SQS would hand it."""
    sqs, url = story.stack.client("sqs"), story.stack.environ["COREML_EXPORT_RESULTS_QUEUE_URL"]
    answer = sqs.receive_message(QueueUrl=url, AttributeNames=["SentTimestamp"], MaxNumberOfMessages=10)
    records = [
        {
            "messageId": one["MessageId"],
            "body": one["Body"],
            "attributes": {"SentTimestamp": one["Attributes"]["SentTimestamp"]},
        }
        for one in answer["Messages"]
    ]
    handler = runpy.run_path(str(ROOT / "infra" / "lambdas" / "process_results.py"))["handler"]
    outcome: dict[str, Any] = handler({"Records": records}, None)
    for one in answer["Messages"]:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return {"records": len(records), **outcome}


def lose_a_host(story: Story, fleet: Fleet, imds: FakeImds) -> None:
    """The first host comes up, trains, hears its Spot notice, and is gone."""
    imds.values["instance-id"] = instance = scale_out(story, fleet, 1)
    story.reached("the first host comes up")
    with story.host("train-1", imds) as process:
        story.wait(lambda: has_checkpoint(story), "it trains; the first checkpoint is in S3")
        assert fleet.protected == {instance}

        at = imds.announce_interruption(120)
        noticed = time.monotonic()
        story.reached("Spot notice")
        story.wait(lambda: story.depth("TRAIN_JOB_QUEUE_URL")[0] == 1, "the message is visible again")
        assert time.monotonic() - noticed < 120
        assert story.job.status == "interrupted"
        notes = [note.message for note in story.client.list_job_statuses(story.job.job_id).items]
        assert f"Spot interruption notice for {at}" in notes
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    terminate(fleet, instance)


def finish_on_another(story: Story, fleet: Fleet, imds: FakeImds) -> None:
    """The second host goes on, succeeds, and ends itself when it is idle."""
    imds.values["instance-id"] = scale_out(story, fleet, 1)
    story.reached("the second host comes up")
    with story.host("train-2", imds) as process:
        story.wait(lambda: story.job.status == "succeeded", "the training has succeeded")
        assert story.job.attempt == 2
        story.wait(lambda: fleet.desired == 0, "idle, the second host has ended itself")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def export(story: Story, imds: FakeImds) -> None:
    """The other worker exports, and the Lambda processes its result."""
    with story.host("export-mac", imds) as process:
        story.wait(lambda: story.depth("COREML_EXPORT_RESULTS_QUEUE_URL")[0] == 1, "the export is done")
        assert process_results(story) == {"records": 1, "batchItemFailures": []}
        story.reached("the Lambda has processed its result")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_fleet_comes_up_loses_a_host_finishes_and_goes_to_zero(
    story: Story, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    for name, value in story.stack.environ.items():
        monkeypatch.setenv(name, value)
    fleet = Fleet.make(story.stack, size=0)
    send(story.stack)
    story.reached("a message waits, no host is on")
    with fake_imds() as first, fake_imds() as second, fake_imds() as mac:
        assert fleet.desired == 0
        lose_a_host(story, fleet, first)
        assert fleet.desired == 0
        finish_on_another(story, fleet, second)
        export(story, mac)
    check_nothing_is_lost(story)
    assert (fleet.desired, fleet.instances) == (0, [])
    record_property("fleet", "; ".join(story.timeline))


def has_checkpoint(story: Story) -> bool:
    keys = story.stack.client("s3").list_objects_v2(
        Bucket=story.stack.environ["LAYOUTLM_TRAINING_BUCKET"], Prefix=f"runs/{NAME}/checkpoints/"
    )
    return any(one["Key"].endswith("manifest.json") for one in keys.get("Contents", ()))


def check_nothing_is_lost(story: Story) -> None:
    """One result, one model, one bundle, every epoch once; the second host went on and did not begin anew."""
    job = story.job
    epochs = [one.epoch or 0.0 for one in story.client.list_job_metrics(job.job_id, "val_f1").items]
    assert sorted(set(epochs)) == epochs == [float(number) for number in range(1, len(epochs) + 1)]
    steps: dict[int | None, list[int]] = {1: [], 2: []}
    for checkpoint in story.client.list_job_checkpoints(job.job_id).items:
        steps[checkpoint.attempt].append(checkpoint.step)
    assert max(steps[1]) < min(steps[2]), "it went on where the first host was"
    assert job.results["coreml_export_id"]
    assert story.client.get_coreml_export_job(job.results["coreml_export_id"]).status == "SUCCEEDED"
    for variable in ("TRAIN_JOB_QUEUE_URL", "COREML_EXPORT_JOB_QUEUE_URL", "COREML_EXPORT_RESULTS_QUEUE_URL"):
        assert story.depth(variable) == (0, 0), variable
    assert story.depth("TRAIN_RESULTS_QUEUE_URL") == (1, 0)
