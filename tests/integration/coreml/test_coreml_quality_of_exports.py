"""Validation receipts of a run, and exports that ask the gate of quality."""

from __future__ import annotations

import io
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch

from messages.child_protocol import ExportTask, Progress, parse_report
from messages.export import ExportJob
from receipt_dynamo import DynamoClient
from receipt_layoutlm.checkpoint import RunFacts
from receipt_layoutlm.coreml import build
from receipt_layoutlm.coreml.convert import convert
from receipt_layoutlm.coreml.export import export
from receipt_layoutlm.coreml.validation_receipts import find_validation
from receipt_layoutlm.coreml.verify import Verification
from receipt_layoutlm.data.synthetic import generate
from receipt_layoutlm.data.table_writer import write_records
from receipt_layoutlm.errors import BundleError
from run_records.job_process.child_main import Reporter, StopRequested
from run_records.s3_store import S3Store
from tests.support.small_bundles import LABELS
from workers.local_aws.local_stack import LocalStack

RUN = RunFacts(
    job_id="e1c8f8a2-5b7a-4d43-8a55-0f4b5d6a7c11",
    job_name="a-run",
    label_list=LABELS,
    label_merges={},
    max_seq_length=512,
    window_size=40,
    window_stride=30,
    precision="float32",
    step=10,
    epoch=1.0,
)


@pytest.fixture
def storage(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name, value in stack.environ.items():
        monkeypatch.setenv(name, value)
    return S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]])


@pytest.fixture
def root(stack: LocalStack) -> str:
    return f"s3://{stack.environ['LAYOUTLM_TRAINING_BUCKET']}/runs/a-run/"


@pytest.fixture
def table(storage: S3Store, stack: LocalStack) -> str:
    """A table with five receipts, three of them in the run's validation."""
    name = stack.environ["DYNAMO_TABLE_NAME"]
    write_records(DynamoClient(name), generate(5, seed=3))
    return name


def write_run_json(storage: S3Store, root: str, keys: list[str]) -> None:
    body = {"job_name": "a-run", "split_metadata": {"source": "seeded", "val_receipt_keys": keys}}
    storage.write(f"{root}run.json", json.dumps(body).encode())


def first_keys(table: str, count: int) -> list[str]:
    receipts = DynamoClient(table).list_receipt_keys().items
    return sorted(f"{one.image_id}#{one.receipt_id:05d}" for one in receipts)[:count]


@pytest.mark.parametrize("place", ["best/", "best", "checkpoints/checkpoint-12/"])
def test_validation_receipts_are_those_that_the_run_names(
    storage: S3Store, table: str, root: str, place: str
) -> None:
    keys = first_keys(table, 3)
    write_run_json(storage, root, [*keys, "00000000-0000-4000-8000-000000000000#00001"])
    found = find_validation(storage, root + place, table)
    assert [receipt.key for receipt in found.receipts] == keys
    assert found.total == 4
    assert all(any(word.label for word in receipt.words) for receipt in found.receipts)


def test_why_there_are_no_validation_receipts_is_said(storage: S3Store, table: str, root: str) -> None:
    def why(table_name: str | None) -> str:
        found = find_validation(storage, f"{root}best/", table_name)
        assert not found.receipts
        return found.why_none

    assert why(table) == f"no run.json lies above {root}best/"
    storage.write(f"{root}run.json", b'{"split_metadata": {}}')
    assert "names no validation receipts" in why(table)
    write_run_json(storage, root, ["00000000-0000-4000-8000-000000000000#00001"])
    assert why(table) == f"none of the run's 1 validation receipts is in the table {table}"
    assert why(None) == "no table is named to read validation receipts from"


@pytest.fixture
def task(
    storage: S3Store, stack: LocalStack, table: str, root: str, trained: Path, tmp_path: Path
) -> ExportTask:
    """An export of a checkpoint with its run around it."""
    folder = Path(shutil.copytree(trained, tmp_path / "checkpoint"))
    (folder / "layoutlm_run.json").write_text(RUN.model_dump_json())
    storage.upload_folder(folder, f"{root}best/")
    write_run_json(storage, root, first_keys(table, 2))
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    job = ExportJob(
        export_id=str(uuid.uuid4()),
        job_id="a-run",
        model_s3_uri=f"{root}best/",
        output_s3_prefix=f"s3://{bucket}/coreml/a-run/",
    )
    return ExportTask(
        job=job,
        attempt=1,
        training_job_id=RUN.job_id,
        training_job_name="a-run",
        training_created_at="2025-01-01T00:00:00.000000+00:00",
        canonical_bundle_s3_uri=f"s3://{bucket}/coreml/layoutlm-coreml-bundle.zip",
        allowed_buckets=(bucket,),
        table_name=table,
        work_dir=str(tmp_path / "work"),
    )


def test_an_export_asks_all_gates_and_publishes_what_they_measured(
    task: ExportTask, storage: S3Store
) -> None:
    said = io.StringIO()
    exported = export(task, Reporter(said), StopRequested())
    record = storage.read(f"{exported.bundle_s3_uri}verification.json")
    verification = Verification.model_validate_json(record or b"")
    assert all(gate.passed for gate in verification.gates)
    assert verification.gates[4].sentence.startswith("On 2 of 2 validation receipts, ")
    reports = [parse_report(line) for line in said.getvalue().splitlines()]
    told = [one.message for one in reports if isinstance(one, Progress) and one.message.startswith("gate ")]
    assert told == [
        f"gate {name}" for name in ("static", "weights", "structure", "arithmetic", "quality", "headroom")
    ]


def test_an_export_whose_package_fails_a_gate_uploads_nothing(
    task: ExportTask, storage: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversion is of another classifier; all else is as always."""

    def convert_another(model: Any, *args: Any) -> Any:
        with torch.no_grad():
            model.classifier.weight[2] += 0.5
        converted = convert(model, *args)
        with torch.no_grad():
            model.classifier.weight[2] -= 0.5
        return converted

    monkeypatch.setattr(build, "convert", convert_another)
    storage.write(task.canonical_bundle_s3_uri, b"the one before")
    with pytest.raises(BundleError, match=r"The gate weights refuses the package: .* at classifier\.weight"):
        export(task, Reporter(None), StopRequested())
    assert storage.read(task.canonical_bundle_s3_uri) == b"the one before"
    assert storage.list_keys(task.job.output_s3_prefix) == {}
