from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from messages.child_protocol import ChildExit, Exported, ExportTask, Failure, Progress, parse_report
from messages.export import ExportJob
from receipt_dynamo.clock import steady_seconds
from receipt_layoutlm.checkpoint import RUN_FACTS, RunFacts
from receipt_layoutlm.coreml.build import ExportSteps
from receipt_layoutlm.coreml.bundle import check_bundle
from receipt_layoutlm.coreml.export import export, export_local
from receipt_layoutlm.coreml.publish import check_destination, upload_bundle
from receipt_layoutlm.errors import BundleError
from run_records.errors import CheckpointError, ConfigurationError, Forbidden
from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.job_process.heartbeat import ProgressReporter
from run_records.s3_store import S3Store
from tests.support.small_bundles import LABELS

BUCKET = "models"
PutFolder = Callable[[Path, str], None]


@pytest.fixture
def task(root: str, tmp_path: Path) -> ExportTask:
    job = ExportJob(
        export_id=str(uuid.uuid4()),
        job_id="a-run",
        model_s3_uri=root + "runs/a-run/best/",
        quantize="float16",
        output_s3_prefix=root + "coreml/a-run",
    )
    return ExportTask(
        job=job,
        attempt=1,
        training_job_id="e1c8f8a2-5b7a-4d43-8a55-0f4b5d6a7c11",
        training_job_name="a-run",
        training_created_at="2026-11-20T10:00:00.000000+00:00",
        canonical_bundle_s3_uri=root + "coreml/layoutlm-coreml-bundle.zip",
        allowed_buckets=(BUCKET,),
        work_dir=str(tmp_path / "work"),
    )


@pytest.fixture
def ready(task: ExportTask, trained: Path, put_folder: PutFolder) -> ExportTask:
    """The task with its checkpoint in place."""
    put_folder(trained, task.job.model_s3_uri)
    return task


def key(uri: str) -> str:
    return uri.removeprefix(f"s3://{BUCKET}/")


def keys(s3: Any, uri: str) -> set[str]:
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=key(uri)).get("Contents", ())
    return {entry["Key"].removeprefix(key(uri)) for entry in found}


def start_child(task: ExportTask, tmp_path: Path) -> subprocess.Popen[str]:
    job_file = tmp_path / "job.json"
    job_file.write_text(task.model_dump_json())
    child = subprocess.Popen(
        [sys.executable, "-m", "receipt_layoutlm.coreml", str(job_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin
    child.stdin.write(f"{steady_seconds() + 600:.3f}\n")
    child.stdin.flush()
    return child


def finish(child: subprocess.Popen[str]) -> tuple[list[Any], str]:
    """Reads to the end with standard input left open, as the daemon leaves it."""
    assert child.stdout
    assert child.stderr
    assert child.stdin
    with child:
        lines, errors = child.stdout.read(), child.stderr.read()
        child.wait(60)
    return [parse_report(line) for line in lines.splitlines()], errors


def test_the_child_publishes_a_bundle_and_says_where(
    ready: ExportTask, tmp_path: Path, s3: Any, root: str
) -> None:
    child = start_child(ready, tmp_path)
    reports, errors = finish(child)
    assert child.returncode == ChildExit.DONE, errors

    exported = reports[-1]
    assert isinstance(exported, Exported)
    prefix = root + "coreml/a-run/"
    assert exported.bundle_s3_uri == prefix
    assert exported.mlpackage_s3_uri == prefix + "LayoutLM.mlpackage"
    assert exported.canonical_bundle_s3_uri == ready.canonical_bundle_s3_uri
    head = s3.head_object(Bucket=BUCKET, Key=key(ready.canonical_bundle_s3_uri))
    assert exported.canonical_bundle_etag == head["ETag"].strip('"')

    stages = list(dict.fromkeys(report.stage for report in reports if isinstance(report, Progress)))
    steps = ["starting", "downloading", "converting", "checking", "packing", "uploading", "publishing"]
    assert stages == steps
    assert "converting took" in errors
    assert "has not been tested with coremltools" not in errors

    body = s3.get_object(Bucket=BUCKET, Key=key(ready.canonical_bundle_s3_uri))["Body"].read()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert set(archive.namelist()) == keys(s3, prefix)
        archive.extractall(tmp_path / "unpacked")
    check_bundle(tmp_path / "unpacked")
    package = (tmp_path / "unpacked" / "LayoutLM.mlpackage").rglob("*")
    assert exported.model_size_bytes == sum(path.stat().st_size for path in package if path.is_file())
    identity = json.loads((tmp_path / "unpacked" / "model_identity.json").read_text())
    assert identity["export_id"] == ready.job.export_id
    assert identity["training_job_id"] == ready.training_job_id
    assert identity["source_checkpoint_s3_uri"] == ready.job.model_s3_uri
    assert list((tmp_path / "work").iterdir()) == []


def test_a_child_that_is_asked_to_stop_leaves_with_nothing_published(
    ready: ExportTask, tmp_path: Path, s3: Any, root: str
) -> None:
    child = start_child(ready, tmp_path)
    assert child.stdout
    while "downloading" not in child.stdout.readline():
        assert child.poll() is None
    os.kill(child.pid, signal.SIGTERM)
    reports, errors = finish(child)
    assert child.returncode == ChildExit.STOPPED, errors
    assert not any(isinstance(report, Exported | Failure) for report in reports)
    assert keys(s3, root + "coreml/") == set()
    assert list((tmp_path / "work").iterdir()) == []


def test_without_a_checkpoint_nothing_is_published(task: ExportTask, s3: Any, root: str) -> None:
    with pytest.raises(CheckpointError, match="There is nothing under"):
        export(task, Reporter(None), StopRequested())
    assert keys(s3, root) == set()


def spoil_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")


def spoil_config(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 3}))


@pytest.mark.parametrize("spoil", [spoil_weights, spoil_config])
def test_a_bad_checkpoint_leaves_the_canonical_bundle_as_it_was(
    ready: ExportTask, checkpoint_folder: Path, s3: Any, spoil: Callable[[Path], None]
) -> None:
    task = ready
    place = task.job.model_s3_uri
    s3.delete_object(Bucket=BUCKET, Key=key(place) + "model.safetensors")
    spoil(checkpoint_folder)
    for path in checkpoint_folder.iterdir():
        s3.upload_file(str(path), BUCKET, key(place) + path.name)
    s3.put_object(Bucket=BUCKET, Key=key(task.canonical_bundle_s3_uri), Body=b"the one before")
    with pytest.raises(CheckpointError):
        export(task, Reporter(None), StopRequested())
    assert keys(s3, task.canonical_bundle_s3_uri.removesuffix("layoutlm-coreml-bundle.zip")) == {
        "layoutlm-coreml-bundle.zip"
    }
    body = s3.get_object(Bucket=BUCKET, Key=key(task.canonical_bundle_s3_uri))["Body"].read()
    assert body == b"the one before"


@pytest.mark.parametrize("field", ["model_s3_uri", "output_s3_prefix"])
def test_a_bucket_that_is_not_allowed_is_refused_before_any_work(
    task: ExportTask, field: str, root: str, s3: Any
) -> None:
    job = task.job.model_copy(update={field: "s3://elsewhere/x/"})
    with pytest.raises(Forbidden, match="s3://elsewhere/x/ is not allowed"):
        export(task.model_copy(update={"job": job}), Reporter(None), StopRequested())
    assert keys(s3, root) == set()


def test_a_canonical_place_that_is_not_allowed_or_no_zip_is_refused(task: ExportTask, root: str) -> None:
    storage = S3Store({BUCKET})
    with pytest.raises(Forbidden):
        check_destination(
            storage, task.model_copy(update={"canonical_bundle_s3_uri": "s3://elsewhere/bundle.zip"})
        )
    with pytest.raises(ConfigurationError, match=r"must be named \.zip"):
        check_destination(storage, task.model_copy(update={"canonical_bundle_s3_uri": root + "bundle"}))


def test_a_tokenizer_json_that_lies_in_the_output_prefix_is_refused(task: ExportTask, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=key(task.job.bundle_s3_uri) + "tokenizer.json", Body=b"{}")
    with pytest.raises(ConfigurationError, match=r"There is a tokenizer\.json under"):
        check_destination(S3Store({BUCKET}), task)


def test_the_identity_is_uploaded_after_all_other_files(bundle: Path, root: str) -> None:
    order: list[str] = []

    class Recording(S3Store):
        def upload_file(
            self, path: Path, uri: str, metadata: Mapping[str, str] | None = None, tag: str | None = None
        ) -> None:
            super().upload_file(path, uri, metadata, tag)
            order.append(path.name)

    upload_bundle(Recording({BUCKET}), bundle, root, "a-job")
    assert order[-1] == "model_identity.json"
    assert sorted(order) == sorted(path.name for path in bundle.rglob("*") if path.is_file())


def test_a_prefix_that_someone_else_writes_to_is_refused(bundle: Path, root: str, s3: Any) -> None:
    class Raced(S3Store):
        def upload_folder(self, folder: Path, uri: str, **options: Any) -> int:
            size = super().upload_folder(folder, uri, **options)
            s3.put_object(Bucket=BUCKET, Key=key(uri) + "vocab.txt", Body=b"another vocabulary")
            return size

    with pytest.raises(BundleError, match=r"vocab\.txt under .* is not what was uploaded"):
        upload_bundle(Raced({BUCKET}), bundle, root, "a-job")


def test_a_stage_does_not_begin_once_a_stop_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    stop = StopRequested()
    stages = ExportSteps(Reporter(sys.stdout), stop)
    with stages.stage("first"):
        stop._event.set()  # noqa: SLF001 - what the signal does
    with pytest.raises(Stopped), stages.stage("second"):
        pytest.fail("the second stage began")
    assert "second" not in capsys.readouterr().out


def test_a_long_stage_keeps_reporting_while_it_works(tmp_path: Path) -> None:
    path = tmp_path / "reports"
    with path.open("w") as stream:
        stages = ExportSteps(Reporter(stream), StopRequested())
        stages.pulse = ProgressReporter(Reporter(stream), interval_seconds=0, look_seconds=0.01)
        give_up = time.monotonic() + 20
        with stages.stage("converting"):
            while len(path.read_text().splitlines()) < 3 and time.monotonic() < give_up:
                sum(range(10_000))
    reports = [parse_report(line) for line in path.read_text().splitlines()]
    assert len(reports) >= 3
    assert {report.stage for report in reports if isinstance(report, Progress)} == {"converting"}


def test_a_local_export_needs_a_new_folder(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="holds something already"):
        export_local(trained, tmp_path)


def test_a_local_export_of_a_bad_checkpoint_leaves_no_folder(checkpoint_folder: Path, tmp_path: Path) -> None:
    spoil_config(checkpoint_folder)
    with pytest.raises(CheckpointError):
        export_local(checkpoint_folder, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_local_export_reads_a_checkpoint_in_s3(
    trained: Path, tmp_path: Path, root: str, put_folder: PutFolder
) -> None:
    put_folder(trained, root + "best/")
    bundle = export_local(root + "best/", tmp_path / "new" / "out", storage=S3Store({BUCKET}))
    check_bundle(bundle)
    identity = json.loads((bundle / "model_identity.json").read_text())
    assert identity["source_checkpoint_s3_uri"] == root + "best/"


def test_a_local_export_of_s3_without_storage_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lies in S3"):
        export_local("s3://models/best/", tmp_path / "out")


def test_a_checkpoint_that_reads_receipts_as_no_client_does_is_not_exported(
    checkpoint_folder: Path, tmp_path: Path
) -> None:
    facts = RunFacts(
        job_id="a-job",
        job_name="a-run",
        label_list=tuple(LABELS),
        label_merges={},
        positions="line_local",
        precision="float32",
        step=1,
        epoch=1,
    )
    (checkpoint_folder / RUN_FACTS).write_text(facts.model_dump_json())
    with pytest.raises(CheckpointError, match="positions line_local"):
        export_local(checkpoint_folder, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
