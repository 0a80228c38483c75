"""One export from checkpoint to published bundle, told from top to bottom."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from messages.child import Exported, ExportTask
from messages.quantize import Quantize
from receipt_dynamo import times
from receipt_layoutlm.child import Reporter, StopRequested
from receipt_layoutlm.coreml.archive import zip_bundle
from receipt_layoutlm.coreml.bundle import PACKAGE, ModelIdentity, check_bundle, package_bytes, write_bundle
from receipt_layoutlm.coreml.checkpoint import fetch_checkpoint, load_checkpoint
from receipt_layoutlm.coreml.convert import DEFAULT_LICENSE, PackageMetadata, convert
from receipt_layoutlm.coreml.stages import Stages
from receipt_layoutlm.coreml.upload import check_destination, upload_bundle
from receipt_layoutlm.errors import ConfigurationError
from receipt_layoutlm.storage import Storage


def export(task: ExportTask, reporter: Reporter, stop: StopRequested) -> Exported:
    """Fetch, convert, check, pack, upload, and only then replace the bundle that clients download.

    Raises:
        CheckpointError: there is no checkpoint that can be loaded.
        BundleError: the converted model is not what clients expect; nothing was uploaded.
        Stopped: the daemon asked for it; the canonical bundle is as it was.
    """
    job = task.job
    storage = Storage(task.allowed_buckets)
    stages = Stages(reporter, stop)
    with _workspace(Path(task.work_dir)) as work:
        with stages.stage("downloading"):
            check_destination(storage, job.output_s3_prefix, task.canonical_bundle_s3_uri)
            source = fetch_checkpoint(storage, job.model_s3_uri, work / "checkpoint")
        identity = ModelIdentity(
            export_id=job.export_id,
            training_job_id=task.training_job_id,
            source_checkpoint_s3_uri=job.model_s3_uri,
            quantize=job.quantize,
            exported_at=times.now(),
        )
        metadata = PackageMetadata(job.model_s3_uri, task.training_job_name)
        bundle = _build(stages, source, work / "bundle", identity, metadata)
        with stages.stage("packing"):
            archive = zip_bundle(bundle, work / "bundle.zip")
        with stages.stage("uploading"):
            upload_bundle(storage, bundle, job.output_s3_prefix)
        with stages.stage("publishing"):
            etag = storage.upload_file(archive, task.canonical_bundle_s3_uri)
        return Exported(
            mlpackage_s3_uri=job.output_s3_prefix + PACKAGE,
            bundle_s3_uri=job.output_s3_prefix,
            canonical_bundle_s3_uri=task.canonical_bundle_s3_uri,
            canonical_bundle_etag=etag,
            model_size_bytes=package_bytes(bundle),
        )


def export_local(  # noqa: PLR0913 - each is one option of the command
    checkpoint: Path | str,
    out: Path,
    quantize: Quantize = "float16",
    *,
    run_name: str = "local",
    license_text: str = DEFAULT_LICENSE,
    storage: Storage | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Write the bundle of a checkpoint into a folder of this machine; nothing is uploaded.

    Args:
        checkpoint: a folder, or an `s3://` URI of one, which needs `storage`.
        out: the bundle's folder; must not exist yet, or be empty. Appears only when it is whole.
        quantize: format of the weights, None for float32.
        run_name: the training's name, for the package's metadata.
        license_text: licence of the package.
        storage: where an S3 checkpoint is read from.
        reporter: told where the work is.

    Raises:
        ConfigurationError: `out` holds something already, or an S3 checkpoint came without storage.
        CheckpointError: there is no checkpoint that can be loaded.
        BundleError: the converted model is not what clients expect.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"{out} holds something already. Choose a new folder for the bundle.")
    stages = Stages(reporter or Reporter(None), StopRequested())
    with _workspace(out.absolute().parent) as work:
        with stages.stage("downloading"):
            source, name = _find_checkpoint(checkpoint, storage, work / "checkpoint")
        identity = ModelIdentity(
            export_id=str(uuid.uuid4()),
            training_job_id=run_name,
            source_checkpoint_s3_uri=name,
            quantize=quantize,
            exported_at=times.now(),
        )
        metadata = PackageMetadata(name, run_name, license_text)
        return _build(stages, source, work / "bundle", identity, metadata).rename(out)


def _build(
    stages: Stages, source: Path, folder: Path, identity: ModelIdentity, metadata: PackageMetadata
) -> Path:
    with stages.stage("converting"):
        checkpoint = load_checkpoint(source)
        mlmodel = convert(checkpoint.model, identity.quantize, metadata)
        write_bundle(folder, mlmodel, checkpoint, identity)
    with stages.stage("checking"):
        check_bundle(folder)
    return folder


def _find_checkpoint(checkpoint: Path | str, storage: Storage | None, folder: Path) -> tuple[Path, str]:
    if not str(checkpoint).startswith("s3://"):
        path = Path(checkpoint).absolute()
        return path, path.as_uri()
    if storage is None:
        raise ConfigurationError(f"{checkpoint} lies in S3. Name its bucket as an allowed one.")
    return fetch_checkpoint(storage, str(checkpoint), folder), str(checkpoint)


@contextmanager
def _workspace(parent: Path) -> Iterator[Path]:
    """A folder of its own below `parent`, where coremltools puts its copies too; gone afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="export-", dir=parent) as folder:
        before = tempfile.tempdir
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
