"""Refuses a request whose results would overwrite something else: a run, a checkpoint, a bundle, a source."""

from __future__ import annotations

from collections.abc import Iterator

from messages.child_protocol import ErrorClass
from messages.export import ExportJob
from messages.fields import S3Uri
from messages.train import TrainJob
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.entities import Job
from workers.runtime.outcome import Refused
from workers.settings import Settings

_SOURCES = (
    "resume_from_s3",
    "pretrained_model",
    "dataset_snapshot_load",
    "dataset_export_s3",
    "receipt_keys_s3",
    "val_keys_s3",
)
_S3 = "s3://"


async def check_bundle_place(
    table: AsyncDynamoClient, settings: Settings, job: ExportJob, training: Job
) -> None:
    """Refuse a bundle's destination that is known to be somebody else's; the child asks S3 for the rest.

    Raises:
        Refused: saying what lies there, and which destination is right.
    """
    wanted, own = S3Uri.parse(job.bundle_s3_uri), settings.bundle_prefix(training.name)
    advice = f"Send the export again with output_s3_prefix {own.uri}, which belongs to {training.name}."
    _check_plain("output_s3_prefix", wanted, advice)
    taken = {
        "the folder of runs": settings.runs,
        "the run of its training": _run_folder(training),
        "the checkpoint that is exported": S3Uri.parse(job.model_s3_uri),
        "the bundle that clients download": settings.canonical_bundle,
    }
    for what, place in taken.items():
        if place is not None and wanted.overlaps(place):
            raise _overlap("output_s3_prefix", wanted, f"{what}, {place.uri}", advice)
    bundles = settings.folder_of("export")
    if bundles.holds(wanted) and not own.holds(wanted):
        await _check_name(table, bundles, wanted, training.job_id, ("output_s3_prefix", advice))


async def check_run_place(table: AsyncDynamoClient, settings: Settings, job: TrainJob, run: S3Uri) -> None:
    """Refuse a run's folder or snapshot that is known to be somebody else's; the child asks S3 for the rest.

    Raises:
        Refused: saying what lies there, and which destination is right.
    """
    own, bundles = settings.runs / f"{job.job_name}/", settings.folder_of("export")
    if job.hyperparameters.output_s3_path is not None:
        advice = f"Leave output_s3_path out, and the run lies in {own.uri}; or name a folder of its own."
        _check_plain("output_s3_path", run, advice)
        if run.overlaps(bundles):
            raise _overlap("output_s3_path", run, f"the folder of bundles, {bundles.uri}", advice)
        for name, source in _sources(job):
            if source.holds(run):
                raise _overlap("output_s3_path", run, f"{name}, {source.uri}", advice)
        if settings.runs.holds(run) and not own.holds(run):
            await _check_name(table, settings.runs, run, job.job_id, ("output_s3_path", advice))
    if job.hyperparameters.dataset_snapshot_save is not None:
        _check_snapshot(settings, job, run)


def _check_snapshot(settings: Settings, job: TrainJob, run: S3Uri) -> None:
    field, uri = "dataset_snapshot_save", str(job.hyperparameters.dataset_snapshot_save)
    wanted = S3Uri.parse(uri)
    example = S3Uri(bucket=run.bucket, key=f"snapshots/{job.job_name}.parquet").uri
    advice = f"Name a file outside of all these, such as {example}."
    _check_plain(field, wanted, advice)
    taken = [
        ("the folder of runs", settings.runs),
        ("the run's own folder", run),
        ("the folder of bundles", settings.folder_of("export")),
        *_sources(job),
    ]
    for what, place in taken:
        if wanted.overlaps(place):
            raise _overlap(field, wanted, f"{what}, {place.uri}", advice)


async def _check_name(
    table: AsyncDynamoClient, parent: S3Uri, wanted: S3Uri, job_id: str, field_and_advice: tuple[str, str]
) -> None:
    """Refuse a folder with the name of another job: it belongs to that job, even while it is empty."""
    name = wanted.key.removeprefix(parent.key).split("/")[0]
    others = [one.job_id for one in (await table.list_name_holders(name)).items if one.job_id != job_id]
    if others:
        field, advice = field_and_advice
        raise _overlap(field, wanted, f"{parent.uri}{name}/ of job {others[0]}", advice)


def _run_folder(training: Job) -> S3Uri | None:
    storage = training.storage or {}
    bucket, key = storage.get("bucket"), storage.get("run_root_prefix")
    if not (isinstance(bucket, str) and isinstance(key, str) and key):
        return None  # a record of other software
    return S3Uri(bucket=bucket, key=key)


def _sources(job: TrainJob) -> Iterator[tuple[str, S3Uri]]:
    """The objects that the training reads from S3, with the fields that name them."""
    for name in _SOURCES:
        uri = getattr(job.hyperparameters, name)
        if isinstance(uri, str) and uri.startswith(_S3):
            yield name, S3Uri.parse(uri)


def _check_plain(field: str, wanted: S3Uri, advice: str) -> None:
    if not wanted.is_plain:
        raise Refused(
            ErrorClass.CONFIGURATION,
            f"{field} leads to {wanted.uri}, which names no folder, or has empty, dotted or percent-encoded "
            f"parts that not every reader takes the same way. {advice}",
        )


def _overlap(field: str, wanted: S3Uri, what: str, advice: str) -> Refused:
    return Refused(ErrorClass.FORBIDDEN, f"{field} leads to {wanted.uri}, which overlaps {what}. {advice}")
