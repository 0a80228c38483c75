"""Scores the checkpoints of a run and builds `epochs.json`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from receipt_dynamo.clock import now
from receipt_layoutlm.checkpoint import MANIFEST, Manifest, parse_manifest
from receipt_layoutlm.evaluation.evaluate import Evaluation, evaluate_checkpoint
from receipt_layoutlm.evaluation.heldout_receipts import HeldoutReceipts
from receipt_layoutlm.evaluation.predict import fastest_device
from receipt_layoutlm.model_folder import download_model
from run_records.epochs_json import Compute, EpochScores, EpochsFile
from run_records.errors import CheckpointError
from run_records.run_json import RunRecord
from run_records.s3_store import S3Store
from run_records.scores import LabelScores

SHOWCASE = 5
"""Receipts that a dashboard shows, spread evenly over the sorted validation receipts."""


def split_labels(scores: dict[str, LabelScores]) -> dict[str, dict[str, Any]]:
    """The scores of labels as `EpochScores` has them: a table for each kind of score."""
    return {
        f"per_label_{kind}": {name: getattr(one, kind) for name, one in scores.items()}
        for kind in ("f1", "precision", "recall", "support")
    }


def describe_checkpoint(
    checkpoint: str, evaluation: Evaluation, *, step: int, epoch: float, reported_f1: float | None
) -> EpochScores:
    """The entry of a checkpoint that was just evaluated."""
    scores, constrained = evaluation.scores, evaluation.constrained
    receipts, milliseconds = len(evaluation.probabilities), 1000 * evaluation.seconds
    return EpochScores(
        checkpoint=checkpoint,
        step=step,
        epoch=epoch,
        heldout_f1=scores.f1,
        heldout_precision=scores.precision,
        heldout_recall=scores.recall,
        token_accuracy=scores.token_accuracy,
        **split_labels(scores.per_label),
        entity_prediction_rate=scores.entity_prediction_rate,
        gold_entity_rate=scores.gold_entity_rate,
        training_reported_f1=reported_f1,
        num_receipts_evaluated=receipts,
        avg_inference_ms=round(milliseconds / max(receipts, 1), 3),
        total_inference_ms=round(milliseconds, 3),
        diagnostics={
            "eval_loss": evaluation.loss,
            "f1_interval": evaluation.interval.model_dump(),
            "f1_strict": scores.f1_strict,
            "f1_constrained": constrained.f1,
            "precision_constrained": constrained.precision,
            "recall_constrained": constrained.recall,
            "per_label_f1_constrained": {name: one.f1 for name, one in constrained.per_label.items()},
            "by_merchant": {name: one.model_dump() for name, one in evaluation.by_merchant.items()},
            "confusion": evaluation.confusion,
        },
    )


def describe_epochs(  # noqa: PLR0913 - the parts of one document
    record: RunRecord,
    root: str,
    epochs: Sequence[EpochScores],
    keys_hash: str,
    keys: Sequence[str],
    *,
    showcase: int = SHOWCASE,
) -> EpochsFile:
    """The document.

    Args:
        record: the run's own.
        root: S3 folder of the run.
        epochs: its checkpoints, in their order.
        keys_hash: of the receipts that were evaluated.
        keys: of those, sorted.
        showcase: how many of them it names to be shown.
    """
    best = max(epochs, key=lambda one: one.heldout_f1, default=None)
    recorded = record.split_metadata.val_receipts_hash
    return EpochsFile(
        job_name=record.job_name,
        run_s3_uri=root,
        val_receipts_hash=keys_hash,
        val_receipts_hash_recorded=recorded,
        val_receipts_hash_verified=keys_hash == recorded,
        num_val_receipts=len(keys),
        **record.comparability.model_dump(),
        random_seed=record.split_metadata.random_seed,
        label_list=record.label_list,
        label_merges=record.label_merges,
        window_size=record.training_config.window_size,
        window_stride=record.training_config.window_stride,
        compute=this_machine(),
        epochs=tuple(epochs),
        best_epoch_heldout=None if best is None else best.epoch,
        best_checkpoint_heldout=None if best is None else best.checkpoint,
        showcase_receipt_keys=choose_showcase(keys, showcase),
        generated_at=now(),
    )


def choose_showcase(keys: Sequence[str], most: int = SHOWCASE) -> tuple[str, ...]:
    """`{image}_{receipt}` of a few receipts, the same for the same keys."""
    parts = [key.partition("#") for key in spread_evenly(keys, most)]
    return tuple(f"{image}_{int(receipt)}" for image, _, receipt in parts)


def spread_evenly(keys: Sequence[str], most: int = SHOWCASE) -> list[str]:
    """At most so many of sorted keys, from all over them."""
    count = min(most, len(keys))
    return [keys[place * len(keys) // count] for place in range(count)]


def this_machine() -> Compute:
    """The hardware and arithmetic of this process."""
    device = fastest_device()
    return Compute(device=device, gpu_name=torch.cuda.get_device_name() if device == "cuda" else None)


log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints/"


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A whole checkpoint in S3."""

    name: str
    uri: str
    manifest: Manifest


def list_checkpoints(storage: S3Store, root: str, names: Sequence[str] = ()) -> list[StoredCheckpoint]:
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
    storage: S3Store,
    checkpoints: Sequence[StoredCheckpoint],
    record: RunRecord,
    frozen: HeldoutReceipts,
    on_batch: Callable[[str, int, int], None] = lambda *_: None,
) -> Iterator[EpochScores]:
    """Score checkpoints one by one; `on_batch` receives a checkpoint, its batches done and in all.

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
    storage: S3Store, one: StoredCheckpoint, frozen: HeldoutReceipts, on_batch: Callable[[int, int], None]
) -> Evaluation:
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as name:
        try:
            download_model(storage, one.uri, Path(name))
            return evaluate_checkpoint(Path(name), frozen.receipts, frozen.seen, on_batch)
        except CheckpointError as error:
            raise CheckpointError(f"{one.uri}: {error} Leave it out with --checkpoint.") from error


def _read_manifests(storage: S3Store, root: str, folders: set[str]) -> Iterator[StoredCheckpoint]:
    for name in sorted(folders):
        uri = f"{root}{CHECKPOINTS}{name}/"
        manifest = parse_manifest(storage.read(f"{uri}{MANIFEST}"))
        if manifest is None:
            log.warning("%s has no manifest, so its upload was cut short; it is left out", uri)
        else:
            yield StoredCheckpoint(name, uri, manifest)
