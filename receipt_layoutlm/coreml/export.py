"""Runs one export from checkpoint to published bundle; reads from top to bottom."""

from __future__ import annotations

import uuid
from pathlib import Path

import pydantic

from messages.child_protocol import Exported, ExportTask
from messages.export_options import RANGE, Quantize, Shapes
from receipt_dynamo import clock as times
from receipt_layoutlm.coreml.build import ExportSteps, Order, build_bundle, peak_memory_bytes, workspace
from receipt_layoutlm.coreml.bundle import PACKAGE, ModelIdentity, package_bytes
from receipt_layoutlm.coreml.cache import CheckpointCache
from receipt_layoutlm.coreml.convert import DEFAULT_LICENSE, PackageMetadata
from receipt_layoutlm.coreml.deterministic_archive import zip_bundle
from receipt_layoutlm.coreml.manifest import IDENTITY, BundleForm
from receipt_layoutlm.coreml.publish import (
    Canonical,
    Edition,
    check_destination,
    keep,
    publish,
    upload_bundle,
)
from receipt_layoutlm.coreml.source_checkpoint import fetch_checkpoint
from receipt_layoutlm.coreml.validation_receipts import find_validation
from receipt_layoutlm.coreml.verify.quality import Validation
from run_records.errors import ConfigurationError
from run_records.job_process.child_main import Reporter, StopRequested
from run_records.s3_store import S3Store


def export(task: ExportTask, reporter: Reporter, stop: StopRequested) -> Exported:
    """Fetch, convert, check, upload, and only then replace the bundle that clients download.

    Raises:
        CheckpointError: there is no checkpoint that can be loaded.
        BundleError: the converted model is not what clients expect; nothing was uploaded.
        Stopped: the daemon asked for it; the canonical bundle is as it was.
    """
    job = task.job
    stages = ExportSteps(reporter, stop)
    storage = S3Store(task.allowed_buckets, on_bytes=stages.pulse.moved)
    with workspace(Path(task.work_dir)) as work:
        with stages.stage("downloading"):
            check_destination(storage, task)
            cache = CheckpointCache(Path(task.cache_dir), task.cache_bytes) if task.cache_dir else None
            source = fetch_checkpoint(storage, job.model_s3_uri, work / "checkpoint", cache)
            validation = find_validation(storage, job.model_s3_uri, task.table_name)
        identity = _identify(storage, task)
        order = Order(
            identity,
            BundleForm(job.quantize, job.shapes),
            PackageMetadata(job.model_s3_uri, task.training_job_name),
            validation,
        )
        bundle = build_bundle(stages, source, work / "bundle", order)
        with stages.stage("packing"):
            archive = zip_bundle(bundle, work / "bundle.zip")
        with stages.stage("uploading"):
            upload_bundle(storage, bundle, job.bundle_s3_uri, task.training_job_id)
        with stages.stage("publishing"):
            canonical = _publish(storage, archive, task, identity)
        return Exported(
            mlpackage_s3_uri=job.bundle_s3_uri + PACKAGE,
            bundle_s3_uri=job.bundle_s3_uri,
            canonical_bundle_s3_uri=task.canonical_bundle_s3_uri,
            canonical_bundle_etag=canonical.etag,
            canonical_bundle_replaced=canonical.kept is None,
            canonical_bundle_kept=canonical.kept,
            model_size_bytes=package_bytes(bundle),
            peak_memory_bytes=peak_memory_bytes(),
            stage_seconds=stages.seconds,
        )


def export_local(  # noqa: PLR0913 - each is one option of the command
    checkpoint: Path | str,
    out: Path,
    quantize: Quantize = "float16",
    *,
    shapes: Shapes = RANGE,
    run_name: str = "local",
    license_text: str = DEFAULT_LICENSE,
    validation: Validation | None = None,
    storage: S3Store | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Write the bundle of a checkpoint into a folder of this machine; nothing is uploaded.

    Args:
        checkpoint: a folder, or an `s3://` URI of one, which needs `storage`.
        out: the bundle's folder; must not exist yet, or be empty. Appears only when it is whole.
        quantize: format of the weights, None for float32.
        shapes: the lengths that the model takes.
        run_name: the training's name, for the package's metadata.
        license_text: licence of the package.
        validation: labelled receipts that the model was not trained on.
        storage: where an S3 checkpoint is read from.
        reporter: told where the work is.

    Raises:
        ConfigurationError: `out` holds something already, or an S3 checkpoint came without storage.
        CheckpointError: there is no checkpoint that can be loaded.
        BundleError: the converted model is not what clients expect.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"{out} holds something already. Choose a new folder for the bundle.")
    stages = ExportSteps(reporter or Reporter(None), StopRequested())
    with workspace(out.absolute().parent) as work:
        with stages.stage("downloading"):
            source, name = find_checkpoint(checkpoint, storage, work / "checkpoint")
        identity = ModelIdentity(
            export_id=str(uuid.uuid4()),
            training_job_id=run_name,
            source_checkpoint_s3_uri=name,
            quantize=quantize,
            exported_at=times.now(),
        )
        metadata = PackageMetadata(name, run_name, license_text)
        order = Order(identity, BundleForm(quantize, shapes), metadata, validation or Validation())
        return build_bundle(stages, source, work / "bundle", order).rename(out)


def find_checkpoint(checkpoint: Path | str, storage: S3Store | None, folder: Path) -> tuple[Path, str]:
    """A checkpoint's folder on this disk, and its URI; one in S3 is downloaded into `folder`.

    Raises:
        ConfigurationError: it lies in S3 and there is no storage.
        CheckpointError: there is none.
    """
    if not str(checkpoint).startswith("s3://"):
        path = Path(checkpoint).absolute()
        return path, path.as_uri()
    if storage is None:
        raise ConfigurationError(f"{checkpoint} lies in S3. Name its bucket as an allowed one.")
    return fetch_checkpoint(storage, str(checkpoint), folder), str(checkpoint)


def _identify(storage: S3Store, task: ExportTask) -> ModelIdentity:
    """This export's identity; a later attempt takes that of an earlier one, and so makes the same bundle."""
    job = task.job
    identity = ModelIdentity(
        export_id=job.export_id,
        training_job_id=task.training_job_id,
        source_checkpoint_s3_uri=job.model_s3_uri,
        quantize=job.quantize,
        exported_at=times.now(),
    )
    try:
        earlier = ModelIdentity.model_validate_json(storage.read(job.bundle_s3_uri + IDENTITY) or b"")
    except pydantic.ValidationError:
        return identity
    return earlier if earlier.export_id == job.export_id else identity


def _publish(storage: S3Store, archive: Path, task: ExportTask, identity: ModelIdentity) -> Canonical:
    uri, shapes = task.canonical_bundle_s3_uri, task.job.shapes
    if shapes != RANGE:
        return keep(storage, uri, f"Clients send any number of tokens, and this bundle takes {shapes} only.")
    edition = Edition(
        run=task.training_job_name,
        run_created_at=task.training_created_at,
        job_id=task.training_job_id,
        export_id=identity.export_id,
        exported_at=identity.exported_at,
        f1=task.training_f1,
    )
    return publish(storage, archive, uri, edition, task.canonical_rule)
