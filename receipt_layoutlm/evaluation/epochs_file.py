"""`epochs.json`: each checkpoint of a run scored on the run's validation receipts, for dashboards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from receipt_dynamo.clock import now
from receipt_layoutlm.evaluation.evaluate import Evaluation
from receipt_layoutlm.evaluation.predict import fastest_device
from run_records.epochs_json import Compute, EpochScores, EpochsFile
from run_records.run_json import RunRecord
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


def describe_epochs(
    record: RunRecord, root: str, epochs: Sequence[EpochScores], keys_hash: str, keys: Sequence[str]
) -> EpochsFile:
    """The document.

    Args:
        record: the run's own.
        root: S3 folder of the run.
        epochs: its checkpoints, in their order.
        keys_hash: of the receipts that were evaluated.
        keys: of those, sorted.
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
        showcase_receipt_keys=choose_showcase(keys),
        generated_at=now(),
    )


def choose_showcase(keys: Sequence[str]) -> tuple[str, ...]:
    """`{image}_{receipt}` of a few receipts, the same for the same keys."""
    parts = [key.partition("#") for key in spread_evenly(keys)]
    return tuple(f"{image}_{int(receipt)}" for image, _, receipt in parts)


def spread_evenly(keys: Sequence[str]) -> list[str]:
    """A few of sorted keys, from all over them."""
    count = min(SHOWCASE, len(keys))
    return [keys[place * len(keys) // count] for place in range(count)]


def this_machine() -> Compute:
    """What this process computes on."""
    device = fastest_device()
    return Compute(device=device, gpu_name=torch.cuda.get_device_name() if device == "cuda" else None)
