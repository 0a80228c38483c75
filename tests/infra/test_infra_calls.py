"""Policies against the calls that the code makes: a message that goes through all of it, seen from outside.

Each process signs with a key that is called like its role. What it asks AWS for has to be allowed to that
role, and what is allowed has to have been asked for, or to stand below with the reason why it was not.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra.layoutlm_infra.iam_policies import GRANTS, NO_RESOURCE, places_of, policy_document
from messages.export import ExportJob
from receipt_dynamo import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from tests.support.recorded_calls import Recorded, recording
from tests.support.records import job_maker
from workers.jobs.queue_export import export_record
from workers.local_aws.local_stack import LocalStack
from workers.sqs.queue_definitions import BUCKET_NAME, QUEUES

pytestmark = pytest.mark.slow  # a training and an export, each in processes that import torch

ROOT = Path(__file__).parent.parent.parent
ACCOUNT = "us-east-1:123456789012"
RUN = "layoutlm-calls"
SAGEMAKER_ROLE = f"arn:aws:iam::{ACCOUNT.partition(':')[2]}:role/layoutlm-sagemaker-training"
GARBAGE = "this is no JSON"
PLAYED = ("train-worker", "export-worker", "start-training", "queue-export", "process-results")
NOT_PLAYED = {
    "autoscaling:": "only on EC2; test_infra_roles holds them against the code of workers/host/",
    "cloudwatch:": "the CloudWatch agent's",
    "ec2:": "the CloudWatch agent's",
    "logs:": "made by the agent of a host, and by Lambda itself",
    "dynamodb:DeleteItem": "an attempt that goes on from a checkpoint takes back metrics from after it",
    "s3:AbortMultipartUpload": "boto3's, when a part of an upload fails",
    "sqs:ReceiveMessage coreml-export-results": "Lambda's own poller, in the function's name",
    "sqs:DeleteMessage coreml-export-results": "Lambda's own poller, in the function's name",
    "sqs:GetQueueAttributes coreml-export-results": "Lambda's own poller, in the function's name",
}
"""Actions, perhaps with a place, that this story does not come to, and why."""


@dataclass(frozen=True, slots=True)
class Story:
    """The stack, and how its processes reach it."""

    stack: LocalStack
    url: str
    folder: Path

    @property
    def table(self) -> DynamoClient:
        return DynamoClient(self.stack.environ["DYNAMO_TABLE_NAME"], client=self.stack.client("dynamodb"))

    @property
    def suffix(self) -> str:
        return self.stack.environ["LAYOUTLM_TRAINING_BUCKET"].removeprefix(BUCKET_NAME)

    def environ(self, role: str) -> dict[str, str]:
        quick = {"LAYOUTLM_POLL_SECONDS": "1", "LAYOUTLM_SWEEP_SECONDS": "1", "LAYOUTLM_ORPHAN_SECONDS": "1"}
        signed = {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": role, "LAYOUTLM_LEASE_SECONDS": "9"}
        work = {
            "LAYOUTLM_WORK_DIR": str(self.folder / role),
            "LAYOUTLM_CHECKPOINT_TAG": "layoutlm=expendable",
        }
        sagemaker = {
            "SAGEMAKER_ROLE_ARN": SAGEMAKER_ROLE,
            "SAGEMAKER_IMAGE_URI": "image:1",
            "SAGEMAKER_INSTANCE_TYPE": "ml.g5.xlarge",
        }
        return self.stack.child_environ(**quick, **signed, **work, **sagemaker)

    def call(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """Run a Lambda's handler as a process of its own, under its role's key."""
        module = function.replace("-", "_")
        code = (
            "import json, sys, types; "
            f"from infra.lambdas.{module} import handler; "
            "context = types.SimpleNamespace(aws_request_id=sys.argv[2]); "
            "print(json.dumps(handler(json.loads(sys.argv[1]), context)))"
        )
        answer = subprocess.run(
            [sys.executable, "-c", code, json.dumps(event), str(uuid.uuid4())],
            env=self.environ(function),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert answer.returncode == 0, answer.stderr[-2000:]
        result: dict[str, Any] = json.loads(answer.stdout)
        return result

    def lose_messages(self, variable: str) -> None:
        self.stack.client("sqs").purge_queue(QueueUrl=self.stack.environ[variable])

    def send(self, variable: str, body: str) -> None:
        self.stack.client("sqs").send_message(QueueUrl=self.stack.environ[variable], MessageBody=body)

    def wait_for_result(self, variable: str) -> dict[str, Any]:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            answer = self.stack.client("sqs").receive_message(
                QueueUrl=self.stack.environ[variable], WaitTimeSeconds=1
            )
            for message in answer.get("Messages", ()):
                body: dict[str, Any] = json.loads(message["Body"])
                return body
        raise AssertionError(f"no result in {variable}")


@contextmanager
def daemon(story: Story, role: str) -> Iterator[None]:
    with (story.folder / f"{role}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "layoutlm_cli", role], env=story.environ(role), stderr=log, stdout=log
        )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def play(story: Story) -> None:
    """Train and export one run, with messages that get lost or cannot be read on the way."""
    write_records(story.table, synthetic.generate(12, 0))
    bucket = story.stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    options = {
        "pretrained_model": "scratch:tiny",
        "epochs": "1",
        "dataset_snapshot_save": f"s3://{bucket}/snapshots/{RUN}.parquet",
    }
    started = story.call("start-training", {"job_name": RUN, "hyperparameters": options})
    assert started["statusCode"] == 202, started
    story.lose_messages("TRAIN_JOB_QUEUE_URL")
    story.send("TRAIN_JOB_QUEUE_URL", GARBAGE)
    with daemon(story, "train-worker"):
        trained = story.wait_for_result("TRAIN_RESULTS_QUEUE_URL")
        while trained["status"] != "succeeded":  # that of the garbage
            trained = story.wait_for_result("TRAIN_RESULTS_QUEUE_URL")
    story.lose_messages("COREML_EXPORT_JOB_QUEUE_URL")
    story.send("COREML_EXPORT_JOB_QUEUE_URL", GARBAGE)
    story.send("COREML_EXPORT_JOB_QUEUE_URL", json.dumps(unknown_export(story, trained["job_id"])))
    with daemon(story, "export-worker"):
        exported = story.wait_for_result("COREML_EXPORT_RESULTS_QUEUE_URL")
        while exported["status"] != "SUCCEEDED":
            exported = story.wait_for_result("COREML_EXPORT_RESULTS_QUEUE_URL")
    record_older_result(story, trained["job_id"])
    train_on_sagemaker(story)


def unknown_export(story: Story, job_id: str) -> dict[str, Any]:
    """A request of an older sender, which made no record of it; of a checkpoint that is not there."""
    place = f"s3://{story.stack.environ['LAYOUTLM_TRAINING_BUCKET']}"
    return {
        "export_id": str(uuid.uuid4()),
        "job_id": job_id,
        "model_s3_uri": f"{place}/runs/nothing/best/",
        "quantize": None,
        "output_s3_prefix": f"{place}/coreml/{RUN}/",
    }


def record_older_result(story: Story, job_id: str) -> None:
    """A result of an exporter that wrote no record, which is what the Lambda is there for."""
    request = ExportJob.model_validate(unknown_export(story, job_id))
    export_id, place = request.export_id, f"s3://{story.stack.environ['LAYOUTLM_TRAINING_BUCKET']}"
    story.table.add_coreml_export_job(export_record(request, job_id))
    result = {
        "export_id": export_id,
        "job_id": job_id,
        "status": "SUCCEEDED",
        "mlpackage_s3_uri": f"{place}/coreml/{RUN}/LayoutLM.mlpackage/",
        "bundle_s3_uri": f"{place}/coreml/{RUN}/",
        "canonical_bundle_s3_uri": f"{place}/coreml/layoutlm-coreml-bundle.zip",
        "canonical_bundle_etag": "0" * 32,
        "model_size_bytes": 1000,
        "export_duration_seconds": 1.5,
    }
    message = {"messageId": "1", "body": json.dumps(result), "attributes": {}}
    assert story.call("process-results", {"Records": [message]}) == {"batchItemFailures": []}


def train_on_sagemaker(story: Story) -> None:
    """A training that SageMaker is asked for and, says its event, has completed."""
    name = f"{RUN}-sagemaker"
    body = {"job_name": name, "backend": "sagemaker", "tags": {"team": "receipts"}, "hyperparameters": {}}
    started = story.call("start-training", body)
    assert started["statusCode"] == 202, started
    arn = json.loads(started["body"])["training_job_arn"]
    # The container's part, which is the train worker's code.
    done = job_maker(story.table, story.stack)(f"{name}-done")
    best = f"s3://{story.stack.environ['LAYOUTLM_TRAINING_BUCKET']}/runs/{done.name}/best/"
    story.table.merge_job_results(done.job_id, {"best_checkpoint_s3_path": best})
    detail = {"TrainingJobName": done.name, "TrainingJobStatus": "Completed", "TrainingJobArn": arn}
    event = {"detail-type": "SageMaker Training Job State Change", "detail": detail}
    answer = story.call("queue-export", event)
    assert answer["export_id"], answer


@pytest.fixture(scope="module")
def played(emulator: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Story, set[Recorded]]:
    stack = LocalStack.make(emulator, suffix=f"-{uuid.uuid4().hex[:8]}")
    with recording(emulator.endpoint_url) as (url, seen):
        story = Story(stack, url, tmp_path_factory.mktemp("story"))
        play(story)
        return story, set(seen)


def arns(story: Story, role: str) -> dict[str, str]:
    """Where the grants' places are in the emulator."""
    named = {
        "table": f"arn:aws:dynamodb:{ACCOUNT}:table/{story.stack.environ['DYNAMO_TABLE_NAME']}",
        "bucket": f"arn:aws:s3:::{story.stack.environ['LAYOUTLM_TRAINING_BUCKET']}",
        "training-jobs": f"arn:aws:sagemaker:{ACCOUNT}:training-job",
        "training-role": SAGEMAKER_ROLE,
    }
    for spec in QUEUES:
        for name in (spec.name, spec.dead_letter_name):
            named[name] = f"arn:aws:sqs:{ACCOUNT}:{name}{story.suffix}"
    return {place: named.get(place, f"arn:aws:none:::{place}") for place in places_of(role)}


def allowed(story: Story, role: str) -> set[tuple[str, str]]:
    """Each action of a role with each resource."""
    return {
        (action, resource)
        for statement in policy_document(role, arns(story, role))["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def matches(call: Recorded, action: str, resource: str) -> bool:
    return call.action == action and fnmatchcase(call.resource, resource)


@pytest.mark.parametrize("role", PLAYED)
def test_a_role_may_do_all_that_its_code_does(role: str, played: tuple[Story, set[Recorded]]) -> None:
    story, seen = played
    mine = {call for call in seen if call.caller == role}
    assert mine
    refused = {call for call in mine if not any(matches(call, *one) for one in allowed(story, role))}
    assert refused == set()


@pytest.mark.parametrize("role", PLAYED)
def test_a_role_may_do_nothing_that_its_code_does_not(role: str, played: tuple[Story, set[Recorded]]) -> None:
    story, seen = played
    mine = {call for call in seen if call.caller == role}
    unused = {
        f"{action} {resource.rsplit(':', 1)[1].removesuffix(story.suffix)}"
        for action, resource in allowed(story, role)
        if action not in NO_RESOURCE and not any(matches(call, action, resource) for call in mine)
    }
    assert {one for one in unused if not one.startswith(tuple(NOT_PLAYED))} == set()


def test_what_the_story_leaves_out_is_still_granted_to_somebody() -> None:
    granted = {
        f"{action} {place}"
        for role in PLAYED
        for one in GRANTS[role]
        for action in one.actions
        for place in one.on
    }
    for action in NOT_PLAYED:
        assert [one for one in granted if one.startswith(action)], action
