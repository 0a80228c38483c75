"""Trainings of a tiny model on small receipts, against the emulated AWS; fixtures and helpers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from messages.child_protocol import TrainTask
from receipt_dynamo import DynamoClient
from receipt_layoutlm.checkpoint import save_tokenizer
from receipt_layoutlm.data.snapshot import save_snapshot
from receipt_layoutlm.training.scratch import SIZES, build_model, train_tokenizer
from receipt_layoutlm.training.speed.throughput import Speed
from run_records.job_process.child_main import StopRequested
from run_records.s3_store import S3Store
from tests.support.small_receipts import make_receipts
from workers.local_aws.local_stack import LocalStack, MotoServer

MakeTask = Callable[..., TrainTask]
MEASURED = frozenset(Speed.model_fields) | {"recorded_at", "eval_seconds", "train_runtime"}


@pytest.fixture(scope="session")
def shared_stack(emulator: MotoServer) -> LocalStack:
    """One table for all tests here, without receipts; each test has its own bucket and job ids."""
    return LocalStack.make(emulator, suffix=f"-training-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def aws(shared_stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> LocalStack:
    """The emulated AWS as this process's own."""
    for name, value in {**shared_stack.environ, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    # A model this small is slower on several threads, the more so beside other tests.
    torch.set_num_threads(1)
    return shared_stack


@pytest.fixture
def bucket(aws: LocalStack) -> str:
    name = f"training-{uuid.uuid4().hex}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def storage(bucket: str) -> S3Store:
    return S3Store([bucket])


@pytest.fixture
def client(aws: LocalStack) -> DynamoClient:
    return DynamoClient(aws.environ["DYNAMO_TABLE_NAME"])


@pytest.fixture
def snapshot(storage: S3Store, bucket: str) -> str:
    """Twenty receipts in S3."""
    uri = f"s3://{bucket}/snapshots/small.parquet"
    save_snapshot(storage, uri, make_receipts(20), "test")
    return uri


@pytest.fixture
def make_task(aws: LocalStack, bucket: str, snapshot: str, tmp_path: Path) -> MakeTask:
    """A job file's content: a tiny model on the twenty receipts, options over it."""

    def make(name: str = "run", *, attempt: int = 1, **hyperparameters: Any) -> TrainTask:
        options = {
            "epochs": 2,
            "learning_rate": 2e-3,
            "batch_size": 4,
            "pretrained_model": "scratch:tiny",
            "dataset_snapshot_load": snapshot,
            "no_frozen_val": True,
            **hyperparameters,
        }
        return TrainTask.model_validate(
            {
                "job": {
                    "job_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{bucket}/{name}")),
                    "job_name": name,
                    "hyperparameters": options,
                },
                "attempt": attempt,
                "table_name": aws.environ["DYNAMO_TABLE_NAME"],
                "run_s3_uri": f"s3://{bucket}/runs/{name}/",
                "allowed_buckets": [bucket],
                "work_dir": str(tmp_path / f"{name}-{attempt}"),
            }
        )

    return make


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a hub serves: a small LayoutLM, as transformers saves it."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(["TOTAL", "Milk", "12.50"], SIZES["tiny"])
    build_model(SIZES["tiny"], len(tokenizer), 1).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


class StopAfter(StopRequested):
    """A stop that arrives when it was looked at so many times, as a signal does between two steps."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._left = looks

    def __bool__(self) -> bool:
        self._left -= 1
        return self._left < 0


def read_json(storage: S3Store, uri: str) -> Any:
    """A JSON document in S3."""
    body = storage.read(uri)
    assert body is not None, uri
    return json.loads(body)


def what_was_learned(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """An epoch's record without what a clock or the machine says of it."""
    return {name: value for name, value in epoch.items() if name not in MEASURED}
