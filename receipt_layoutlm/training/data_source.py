"""Finds the receipts that a run trains on."""

from __future__ import annotations

from receipt_dynamo import DynamoClient
from receipt_layoutlm.data.dataset_hash import hash_receipts
from receipt_layoutlm.data.dynamo_export import load_export
from receipt_layoutlm.data.load_checkpoint import LoadCheckpoint
from receipt_layoutlm.data.receipt_key_lists import read_receipt_keys
from receipt_layoutlm.data.snapshot import load_snapshot, save_snapshot
from receipt_layoutlm.data.table_loader import LoadedReceipts, keep_listed, load_receipts
from receipt_layoutlm.ownership import RUN_JSON, refuse_enclosed, refuse_marked
from receipt_layoutlm.training.config import RunConfig
from receipt_layoutlm.training.run_metadata import DataSource
from run_records.errors import ConfigurationError
from run_records.job_process.heartbeat import ProgressReporter
from run_records.s3_store import S3Store


def load_dataset(
    config: RunConfig, client: DynamoClient, storage: S3Store, pulse: ProgressReporter
) -> tuple[LoadedReceipts, DataSource]:
    """The receipts of a run, and what to record about them; writes the snapshot that was asked for.

    Raises:
        ConfigurationError: two sources are named, or another job's snapshot lies where this one is to.
        Forbidden: the run or its snapshot would lie in a place of another job.
        DataError: there are no labelled receipts where the request says.
    """
    options = config.hyperparameters
    _check_destinations(config, storage)
    uri = options.receipt_keys_s3
    keys = None if uri is None else read_receipt_keys(storage, uri)
    source, loaded = _read(config, client, storage, pulse, keys)
    content_hash = hash_receipts(loaded.receipts)
    if options.dataset_snapshot_save is not None:
        query = f"{source}; labels of status VALID" + ("" if uri is None else f"; receipts listed in {uri}")
        place = options.dataset_snapshot_save
        save_snapshot(storage, place, loaded.receipts, query, config.work_dir, job_id=config.job_id)
    return loaded, DataSource(source, content_hash, loaded.statistics)


def _check_destinations(config: RunConfig, storage: S3Store) -> None:
    options = config.hyperparameters
    if options.output_s3_path is not None:
        advice = "Leave output_s3_path out, or name a folder of its own."
        refuse_marked(storage, config.root, config.root, advice, but=RUN_JSON)
        refuse_enclosed(storage, config.root, advice)
    snapshot = options.dataset_snapshot_save
    if snapshot is not None and snapshot.startswith("s3://"):
        refuse_enclosed(storage, snapshot, "Name a file outside of it as dataset_snapshot_save.")


def _read(
    config: RunConfig, client: DynamoClient, storage: S3Store, pulse: ProgressReporter, keys: list[str] | None
) -> tuple[str, LoadedReceipts]:
    snapshot, export = config.hyperparameters.dataset_snapshot_load, config.hyperparameters.dataset_export_s3
    folder = config.work_dir
    if snapshot is not None and export is not None:
        raise ConfigurationError(
            "dataset_snapshot_load and dataset_export_s3 name two sources of receipts. Give one of them."
        )
    if snapshot is not None:
        receipts, _ = load_snapshot(storage, snapshot, folder)
        return snapshot, keep_listed(receipts, keys)

    def say(unit: str, done: int, total: int) -> None:
        pulse.beat("loading", f"{done} of {total} {unit}")

    if export is not None:
        return f"export {export}", load_export(
            storage, export, folder, lambda done, total: say("files", done, total), keys=keys
        )
    parts = LoadCheckpoint(storage, f"{config.root}loading/", go_on=config.task.attempt > 1)
    return f"table {config.task.table_name}", load_receipts(
        client, lambda done, total: say("images", done, total), keys=keys, folder=folder, parts=parts
    )
