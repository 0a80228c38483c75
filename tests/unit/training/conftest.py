"""Small real receipts and jobs for the tests of training."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from messages.child_protocol import TrainTask
from receipt_dynamo import DynamoClient
from receipt_layoutlm.checkpoint import save_tokenizer
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.data.snapshot import save_snapshot
from receipt_layoutlm.training.scratch import SIZES, build_model, train_tokenizer
from receipt_layoutlm.training.speed.throughput import Speed
from run_records.job_process.child_main import StopRequested
from run_records.s3_store import S3Store
from workers.local_aws.local_stack import LocalStack, MotoServer

MakeTask = Callable[..., TrainTask]

_LINES = (
    (("CORNER", "MERCHANT_NAME"), ("SHOP", "MERCHANT_NAME")),
    (("12", "ADDRESS_LINE"), ("High", "ADDRESS_LINE"), ("Street", "ADDRESS_LINE")),
    (("Date", None), ("{day:02d}/03/2025", "DATE")),
    (("Milk", "PRODUCT_NAME"), ("{price}.50", "LINE_TOTAL")),
    (("TOTAL", None), ("{price}.50", "GRAND_TOTAL")),
    (("Thank", None), ("you", None)),
)


def make_receipt(number: int) -> Receipt:
    """A receipt of six lines, from top to bottom as printed."""
    words = []
    for line_id, line in enumerate(_LINES, start=1):
        y = 1 - line_id * 0.1
        for word_id, (text, label) in enumerate(line, start=1):
            box = (word_id * 0.2, y, word_id * 0.2 + 0.15, y + 0.05)
            shown = text.format(day=1 + number % 28, price=number % 9 + 1)
            words.append(Word(line_id, word_id, shown, box, label))
    return Receipt(str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))), 1, tuple(words))


def make_receipts(count: int) -> list[Receipt]:
    """Receipts sorted by key."""
    return sorted((make_receipt(number) for number in range(count)), key=lambda receipt: receipt.key)


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


def keys_of(receipts: Sequence[Receipt]) -> list[str]:
    return [receipt.key for receipt in receipts]


MEASURED = frozenset(Speed.model_fields) | {"recorded_at", "eval_seconds", "train_runtime"}


def what_was_learned(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """An epoch's record without what a clock or the machine says of it."""
    return {name: value for name, value in epoch.items() if name not in MEASURED}
