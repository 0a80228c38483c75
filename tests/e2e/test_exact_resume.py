"""A run that is killed at random moments ends exactly as it would have ended when left alone."""

from __future__ import annotations

import json
import random
import re
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from receipt_dynamo.client import DynamoClient
from receipt_layoutlm.data.snapshot import save_snapshot
from run_records.s3_store import S3Store
from tests.e2e.test_whole_path import daemon, wait_for_result
from tests.support.refusing_proxy import refusing
from tests.support.small_receipts import make_receipts
from tests.support.small_trainings import MEASURED
from workers.local_aws.local_stack import LocalStack, MotoServer

pytestmark = pytest.mark.e2e

JOB_ID = "5f0c3b1e-6a57-4b7e-9c55-0d7a1a8d2f10"
RUN = "runs/exact/"
SNAPSHOT = "snapshots/exact.parquet"
FILES = ["config.json", "model.safetensors", "optimizer.pt", "rng_state.pth", "resume.json", "manifest.json"]


@dataclass(frozen=True)
class Moment:
    """When a child is killed: so long after a request that matches; without a wait the request is lost."""

    name: str
    request: str
    seconds: float = 0.0


def draw_moments(rng: random.Random) -> list[Moment]:
    later = [r"PUT .*/run\.json", *(rf"PUT .*/(best|checkpoint-\d+)/{name}" for name in FILES)]
    return [
        Moment("while the first checkpoint goes up", rf"PUT .*/checkpoint-\d+/{rng.choice(FILES)}"),
        Moment("in the second epoch", r"HEAD .*/best/manifest\.json", rng.uniform(0.05, 0.5)),
        Moment("while the second epoch is recorded", rng.choice(later)),
    ]


@dataclass
class Killer:
    """Stands between a worker and AWS, and kills the worker's child at each moment in turn."""

    moments: list[Moment]
    worker: psutil.Process | None = None
    killed: set[int] = field(default_factory=set)
    waiting: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def looks_at(self, method: str, path: str) -> bool:
        """Whether the request is lost, because its sender dies of it."""
        with self.lock:
            if self.waiting and RUN in path:  # the epoch was over before the wait was
                return self.kill()
            if not self.moments or not re.search(self.moments[0].request, f"{method} {path}"):
                return False
            moment = self.moments.pop(0)
            if not moment.seconds:
                return self.kill()
            self.waiting = True
            threading.Timer(moment.seconds, self.ring).start()
            return False

    def ring(self) -> None:
        with self.lock:
            if self.waiting:
                self.kill()

    def kill(self) -> bool:
        assert self.worker is not None
        [child] = self.worker.children()
        child.kill()
        self.killed.add(child.pid)
        self.waiting = False
        return True


@pytest.fixture
def stacks(emulator: MotoServer) -> tuple[LocalStack, LocalStack]:
    """Two AWS with the same receipts and the same job."""
    return make_stack(emulator), make_stack(emulator)


def make_stack(emulator: MotoServer) -> LocalStack:
    stack = LocalStack.make(emulator, suffix=f"-exact-{uuid.uuid4().hex[:8]}")
    stack.environ.update(LAYOUTLM_RETRY_BASE_SECONDS="0", OMP_NUM_THREADS="1")
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    snapshot = f"s3://{bucket}/{SNAPSHOT}"
    save_snapshot(S3Store([bucket], client=stack.client("s3")), snapshot, make_receipts(40), "test")
    hyperparameters = {
        "pretrained_model": "scratch:tiny",
        "epochs": 3,
        "batch_size": 2,
        "learning_rate": 2e-4,
        "early_stopping_patience": 0,
        "ema_decay": 0.9,
        "augment_shift": 0.5,
        "augment_mask_tokens": 0.1,
        "augment_digits": 0.5,
        "no_frozen_val": True,
        "dataset_snapshot_load": snapshot,
    }
    body = {
        "job_id": JOB_ID,
        "job_name": "exact",
        "auto_export": False,
        "hyperparameters": hyperparameters,
    }
    stack.client("sqs").send_message(
        QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody=json.dumps(body)
    )
    return stack


def read(stack: LocalStack, key: str) -> Any:
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    return json.loads(stack.client("s3").get_object(Bucket=bucket, Key=RUN + key)["Body"].read())


def without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in MEASURED}


def outcome(stack: LocalStack) -> dict[str, Any]:
    """All that a run leaves, less its times, the number of its attempts, and where it lies."""
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    run = read(stack, "run.json")
    last = read(stack, f"checkpoints/checkpoint-{run['epoch_metrics'][-1]['global_step']}/manifest.json")
    states = {file["name"]: file["sha256"] for file in last["files"]}
    metrics = client.list_job_metrics(JOB_ID).items
    results = without_times(client.get_job(JOB_ID).results)
    del results["best_checkpoint_s3_path"]
    return {
        "epochs": [without_times(epoch) for epoch in run["epoch_metrics"]],
        "validation": run["split_metadata"],
        "best": read(stack, "best/manifest.json")["files"],
        "states": {name: states[name] for name in FILES[1:4]},
        "metrics": sorted(
            (one.metric_name, one.step, one.epoch, str(one.value))
            for one in metrics
            if one.metric_name not in MEASURED
        ),
        "results": results,
    }


def test_a_run_killed_at_random_moments_ends_as_if_it_had_been_left_alone(
    stacks: tuple[LocalStack, LocalStack], emulator: MotoServer, tmp_path: Path
) -> None:
    seed = random.randrange(10**6)  # noqa: S311 - moments, not secrets
    moments = draw_moments(random.Random(seed))  # noqa: S311
    print(f"seed {seed}: {moments}")  # noqa: T201 - shown when the test fails
    whole, broken = stacks
    killer = Killer(list(moments))
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()  # the work directories, too, hold folders named by the job
    with (
        refusing(emulator.endpoint_url, killer.looks_at) as proxy,
        daemon("train-worker", whole, tmp_path / "whole" / "log"),
        daemon(
            "train-worker",
            LocalStack({**broken.environ, "AWS_ENDPOINT_URL": proxy}),
            tmp_path / "broken" / "log",
        ) as worker,
    ):
        killer.worker = psutil.Process(worker.pid)
        results = [wait_for_result(one, "TRAIN_RESULTS_QUEUE_URL", 240) for one in (whole, broken)]
    assert [result["status"] for result in results] == ["succeeded", "succeeded"]
    # A slow machine may pass a moment by; each kill that came has cost one attempt.
    assert killer.killed
    assert [result["attempt"] for result in results] == [1, 1 + len(killer.killed)]
    left_alone, killed = outcome(whole), outcome(broken)
    assert [epoch["epoch"] for epoch in left_alone["epochs"]] == [1, 2, 3]
    for part, expected in left_alone.items():
        assert killed[part] == expected, part
