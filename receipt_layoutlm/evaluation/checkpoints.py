"""Every checkpoint of a run scored again, on the receipts that the run has held out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from receipt_layoutlm.checkpoint import MANIFEST, Manifest, parse_manifest
from receipt_layoutlm.evaluation.epochs_file import describe_checkpoint
from receipt_layoutlm.evaluation.evaluate import Evaluation, evaluate_checkpoint
from receipt_layoutlm.evaluation.frozen import FrozenReceipts
from receipt_layoutlm.model_folder import download_model
from run_records.epochs_json import EpochScores
from run_records.errors import CheckpointError
from run_records.run_json import RunRecord
from run_records.s3_store import Storage

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints/"


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A whole checkpoint in S3."""

    name: str
    uri: str
    manifest: Manifest


def list_checkpoints(storage: Storage, root: str, names: Sequence[str] = ()) -> list[StoredCheckpoint]:
    """The whole checkpoints of a run in the order of their steps, or those of them that are named.

    Raises:
        CheckpointError: there is none, or a named one is not there.
    """
    folders = {name.split("/")[0] for name in storage.list_keys(f"{root}{CHECKPOINTS}")}
    found = sorted(_read_manifests(storage, root, folders), key=lambda one: one.manifest.step)
    present = {one.name for one in found}
    missing = [name for name in names if name not in present]
    if missing or not found:
        there = f"It has {', '.join(one.name for one in found)}." if found else "Wait for its first epoch."
        raise CheckpointError(f"{root} has no whole {', '.join(missing) or 'checkpoint'}. {there}")
    return [one for one in found if not names or one.name in names]


def evaluate_checkpoints(
    storage: Storage,
    checkpoints: Sequence[StoredCheckpoint],
    record: RunRecord,
    frozen: FrozenReceipts,
    on_batch: Callable[[str, int, int], None] = lambda *_: None,
) -> Iterator[EpochScores]:
    """Score checkpoints one by one; `on_batch` is told a checkpoint, its batches done and in all.

    Raises:
        CheckpointError: one is not what its manifest says, or cannot be loaded.
    """
    for one in checkpoints:
        yield describe_checkpoint(
            one.name,
            _evaluate(storage, one, frozen, partial(on_batch, one.name)),
            step=one.manifest.step,
            epoch=one.manifest.epoch,
            reported_f1=record.reported.get(one.manifest.step),
        )


def _evaluate(
    storage: Storage, one: StoredCheckpoint, frozen: FrozenReceipts, on_batch: Callable[[int, int], None]
) -> Evaluation:
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as name:
        try:
            download_model(storage, one.uri, Path(name))
            return evaluate_checkpoint(Path(name), frozen.receipts, frozen.seen, on_batch)
        except CheckpointError as error:
            raise CheckpointError(f"{one.uri}: {error} Leave it out with --checkpoint.") from error


def _read_manifests(storage: Storage, root: str, folders: set[str]) -> Iterator[StoredCheckpoint]:
    for name in sorted(folders):
        uri = f"{root}{CHECKPOINTS}{name}/"
        manifest = parse_manifest(storage.read(f"{uri}{MANIFEST}"))
        if manifest is None:
            log.warning("%s has no manifest, so its upload was cut short; it is left out", uri)
        else:
            yield StoredCheckpoint(name, uri, manifest)
