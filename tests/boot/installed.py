"""A machine with both workers installed, the stack that they reach, and what a person can do with them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import Job, JobLease
from receipt_dynamo.entities.field_types import LeaseFailure
from tests.boot.machine import Machine
from tests.boot.release import RELEASE
from tests.boot.timeline import Timeline, wait_for
from workers.local_aws.local_stack import LocalStack

UNIT = "layoutlm-train-worker"
SETTINGS = "/etc/layoutlm/worker.env"
INSTALL_SECONDS = 240
TRAINING_SECONDS = 240
SHORTER = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "LAYOUTLM_LEASE_SECONDS": "15",
    "LAYOUTLM_POLL_SECONDS": "2",
    "LAYOUTLM_RETRY_BASE_SECONDS": "1",
    "OMP_NUM_THREADS": "1",
}
"""Settings of the test: nothing here is an EC2 host, and what was lost is found again within seconds."""
_HYPERPARAMETERS = {
    "pretrained_model": "scratch:tiny",
    "epochs": 12,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "early_stopping_patience": 0,
    "no_frozen_val": True,
}


@dataclass(frozen=True, slots=True)
class Site:
    """The machine, the stack, and the record of both."""

    machine: Machine
    stack: LocalStack
    timeline: Timeline
    client: DynamoClient
    version: str

    def install(self, kind: str, *, code: int = 0) -> str:
        """Run the project's script as `infra/layoutlm_infra/user_data.py` does; returns its last line."""
        find = f"PIP_NO_INDEX=1 PIP_FIND_LINKS={RELEASE}/wheels"
        script = f"{find} bash {RELEASE}/systemd/install.sh {self.version} {kind}"
        return self.machine.run(script, timeout=INSTALL_SECONDS, code=code).strip().rpartition("\n")[2]

    def fill_in_settings(self) -> None:
        """Do what the script asks for: write the stack's names into the file that it has left."""
        path = self.machine.path(SETTINGS)
        values = self.stack.environ | SHORTER
        lines = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in values]
        path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in values.items()), ""]))

    def send(self, name: str) -> None:
        """Ask for a training by the AWS CLI."""
        body = {"job_name": name, "auto_export": False, "hyperparameters": _HYPERPARAMETERS}
        aws = [
            str(Path(sys.executable).parent / "aws"),
            "--endpoint-url",
            self.stack.environ["AWS_ENDPOINT_URL"],
        ]
        queue = ["--queue-url", self.stack.environ["TRAIN_JOB_QUEUE_URL"]]
        subprocess.run(
            [*aws, "sqs", "send-message", *queue, "--message-body", json.dumps(body)],
            env=self.stack.child_environ(AWS_PAGER=""),
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
        self.timeline.say(f"aws sqs send-message: a training named {name}")

    def job(self, name: str) -> Job | None:
        """The record of a training."""
        found = self.client.get_job_by_name(name).items
        return found[0] if found else None

    def lease(self, name: str) -> JobLease:
        """Its lease."""
        job = self.job(name)
        assert job is not None
        lease = self.client.get_lease(job.job_id, kind="train")
        assert lease is not None
        return lease

    def first_failure(self, name: str) -> LeaseFailure | None:
        """Why its first attempt has failed, once it has."""
        failures = self.lease(name).failures if self.job(name) else []
        return failures[0] if failures else None

    def steps_kept(self, name: str) -> int:
        """The step of its newest whole checkpoint; 0 before the first."""
        bucket, prefix = (
            self.stack.environ["LAYOUTLM_TRAINING_BUCKET"],
            f"runs/{name}/checkpoints/checkpoint-",
        )
        found = self.stack.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
        whole = [
            entry["Key"].removeprefix(prefix) for entry in found if entry["Key"].endswith("/manifest.json")
        ]
        return max((int(key.partition("/")[0]) for key in whole), default=0)

    def train_until_checkpoint(self, name: str) -> int:
        """Send a training and wait until it has something to go on from; returns its step."""
        self.send(name)
        step = wait_for(
            f"a checkpoint of {name}", lambda: self.steps_kept(name) or None, within=TRAINING_SECONDS
        )
        self.timeline.say(f"it trains; checkpoint-{step} is whole")
        return step

    def wait_until_succeeded(self, name: str) -> JobLease:
        """Wait for the end of a training; returns its lease."""

        def ended() -> str | None:
            job = self.job(name)
            return job.status if job and job.status in ("succeeded", "failed", "cancelled") else None

        status = wait_for(f"the end of {name}", ended, within=TRAINING_SECONDS)
        lease = self.lease(name)
        self.timeline.say(f"{name}: {status} in attempt {lease.attempt}")
        assert status == "succeeded", lease
        return lease

    def went_on_after(self, name: str, step: int) -> None:
        """Hold the second attempt of a training to having begun after this step, by what the worker logs."""
        job = self.job(name)
        assert job is not None
        second = [
            line for line in self.log() if line.get("job_id") == job.job_id and line.get("attempt") == 2
        ]
        first_step = min(line["step"] for line in second if line.get("step"))
        self.timeline.say(
            f"attempt 2 went on after the checkpoint: its first epoch ends at step {first_step}"
        )
        assert first_step > step

    def log(self) -> list[dict[str, Any]]:
        """The worker's lines in the journal of this boot, each of which has to be JSON."""
        lines = self.machine.run(f"journalctl -b -t {UNIT} -o cat --no-pager").splitlines()
        return [json.loads(line) for line in lines]

    def visible(self) -> int:
        """How many requests a worker could take now."""
        answer = self.stack.client("sqs").get_queue_attributes(
            QueueUrl=self.stack.environ["TRAIN_JOB_QUEUE_URL"], AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def main_pid(self) -> int:
        """The daemon's process id inside, 0 while there is none."""
        return int(self.machine.show(UNIT, "MainPID")["MainPID"])

    def restarts(self) -> int:
        """How often systemd has started the daemon again by itself."""
        return int(self.machine.show(UNIT, "NRestarts")["NRestarts"])
