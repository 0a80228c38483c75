"""A bundle goes only where its training owns the place; nothing of another job is written over."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from messages.child_protocol import ErrorClass, ExportTask
from messages.export import ExportJob
from receipt_layoutlm.coreml.export import export
from receipt_layoutlm.coreml.publish import check_destination, upload_bundle
from run_records.errors import Forbidden
from run_records.job_process.child_main import Reporter, StopRequested, classify
from run_records.s3_store import OWNER, S3Store
from tests.integration.coreml.conftest import BUCKET

OURS, THEIRS = str(uuid.UUID(int=1, version=4)), str(uuid.UUID(int=2, version=4))


@pytest.fixture
def storage(s3: Any) -> S3Store:
    assert s3
    return S3Store([BUCKET])


def task_for(root: str, destination: str, shapes: str = "range") -> ExportTask:
    """An export of a-run to a destination below the test's root."""
    job = ExportJob.model_validate(
        {
            "export_id": str(uuid.uuid4()),
            "job_id": OURS,
            "model_s3_uri": f"{root}runs/a-run/best/",
            "output_s3_prefix": f"{root}{destination}",
            "shapes": shapes,
        }
    )
    return ExportTask(
        job=job,
        attempt=1,
        training_job_id=OURS,
        training_job_name="a-run",
        training_created_at="2026-11-20T10:00:00.000000+00:00",
        canonical_bundle_s3_uri=f"{root}coreml/layoutlm-coreml-bundle.zip",
        allowed_buckets=(BUCKET,),
        work_dir="unused",
    )


@pytest.fixture
def others(storage: S3Store, root: str) -> dict[str, bytes]:
    """Runs, checkpoints and a bundle of another job; returns what they hold."""
    identity = {
        "export_id": str(uuid.uuid4()),
        "training_job_id": THEIRS,
        "source_checkpoint_s3_uri": "s3://b/c/",
        "quantize": None,
        "exported_at": "2026-11-20T10:00:00.000000+00:00",
    }
    content = {
        "runs/other/run.json": b"{}",
        "runs/other/best/manifest.json": b"the checkpoint's manifest",
        "runs/other/best/config.json": b"{}",
        "runs/other/best/model.safetensors": b"weights",
        "elsewhere/other/run.json": b"{}",
        "models/other/model.safetensors": b"weights",
        "models/other/config.json": b"{}",
        "coreml/other/model_identity.json": json.dumps(identity).encode(),
        "coreml/other/manifest.json": b"the bundle's manifest",
        "coreml/other/LayoutLM.mlpackage/Manifest.json": b"{}",
        "tokenizers/other/vocab.txt": b"[PAD]",
        "papers/report.pdf": b"a report",
    }
    for name, body in content.items():
        storage.write(root + name, body)
    return content


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ("runs/other/best/", "model.safetensors lies there"),
        ("runs/other/best", "model.safetensors lies there"),
        ("runs/other/", "is no part of a bundle"),
        ("runs/other/best/bundle/", "is the folder of a checkpoint"),
        ("runs/other/bestX/", "is the folder of a run"),
        ("runs/", "is no part of a bundle"),
        ("elsewhere/other/bundle/", "is the folder of a run"),
        ("models/other/", "model.safetensors lies there"),
        ("models/other/deep/er/bundle/", "is the folder of a checkpoint"),
        ("coreml/other/", f"it holds a bundle of {THEIRS}"),
        ("coreml/other/LayoutLM.mlpackage/data/", "is the folder of a bundle"),
        ("coreml/", "is no part of a bundle"),
        ("tokenizers/other/", "a job that is not known"),
        ("papers/", "report.pdf lies there"),
    ],
)
def test_a_destination_that_holds_something_of_another_job_is_refused_and_all_stays_as_it_was(
    storage: S3Store, root: str, others: dict[str, bytes], destination: str, why: str, tmp_path: Path
) -> None:
    task = task_for(root, destination).model_copy(update={"work_dir": str(tmp_path)})
    with pytest.raises(Forbidden) as caught:
        export(task, Reporter(None), StopRequested())
    error_class, sentence = classify(caught.value)
    assert error_class is ErrorClass.FORBIDDEN
    assert not error_class.retryable
    assert why in sentence
    assert sentence.endswith(f"with output_s3_prefix {root}coreml/a-run/, which belongs to a-run.")
    assert {name: storage.read(root + name) for name in storage.list_keys(root)} == others


@pytest.mark.parametrize("shapes", ["range", "fixed:128"])
@pytest.mark.parametrize(
    "destination", ["coreml/a-run/", "releases/spring/", "runs/otherwise/", "coreml/othe/"]
)
def test_a_destination_that_holds_nothing_of_another_job_is_taken_again_and_again(
    storage: S3Store, root: str, others: dict[str, bytes], bundle: Path, destination: str, shapes: str
) -> None:
    assert others
    task = task_for(root, destination, shapes)
    check_destination(storage, task)
    upload_bundle(storage, bundle, task.job.bundle_s3_uri, OURS)
    # The same training's next export, and an attempt after one that was cut off before the identity.
    uri = f"{task.job.bundle_s3_uri}model_identity.json"
    identity = {**json.loads(storage.read(uri) or b""), "training_job_id": OURS}
    storage.write(uri, json.dumps(identity).encode())
    check_destination(storage, task)
    place = storage.place(uri)
    storage.client.delete_object(Bucket=place.bucket, Key=place.key)
    check_destination(storage, task)
    # Other shapes lie below that of the range, and the range beside them.
    check_destination(storage, task_for(root, destination, "enum:64,128" if shapes == "range" else "range"))


def test_the_files_of_a_bundle_say_whose_they_are(storage: S3Store, root: str, bundle: Path) -> None:
    upload_bundle(storage, bundle, f"{root}releases/", OURS)
    for name in storage.list_keys(f"{root}releases/"):
        stored = storage.head(f"{root}releases/{name}")
        assert stored is not None
        assert stored.metadata[OWNER] == OURS


def test_a_bundle_that_another_training_was_cut_off_in_is_not_taken(
    storage: S3Store, root: str, bundle: Path
) -> None:
    upload_bundle(storage, bundle, f"{root}releases/", THEIRS)
    place = storage.place(f"{root}releases/model_identity.json")
    storage.client.delete_object(Bucket=place.bucket, Key=place.key)
    with pytest.raises(Forbidden, match=f"it holds a bundle of {THEIRS}"):
        check_destination(storage, task_for(root, "releases/"))
