"""`epochs.json` of a run that has just ended, from what it recorded: nothing is evaluated again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receipt_layoutlm.data.split import Split
from receipt_layoutlm.evaluation.epochs_file import describe_epochs, split_labels
from receipt_layoutlm.training.checkpoints import checkpoint_name
from run_records.epoch_record import EpochRecord
from run_records.epochs_json import EpochScores, EpochsFile
from run_records.run_json import RunRecord


def describe_history(
    description: dict[str, Any], root: str, history: Sequence[EpochRecord], split: Split
) -> EpochsFile:
    """The document of a run; how long the evaluations took is not known, so those fields are null.

    Args:
        description: what `run.json` says beside the epochs.
        root: S3 folder of the run.
        history: its evaluations, each of which has a checkpoint.
        split: whose validation side was evaluated.
    """
    epochs = [_entry(record, len(split.validation)) for record in history]
    return describe_epochs(
        RunRecord.model_validate(description), root, epochs, split.val_hash, split.val_keys
    )


def _entry(record: EpochRecord, receipts: int) -> EpochScores:
    interval = record.eval_f1_interval
    return EpochScores(
        checkpoint=checkpoint_name(record.global_step),
        step=record.global_step,
        epoch=record.epoch,
        heldout_f1=record.eval_f1,
        heldout_precision=record.eval_precision,
        heldout_recall=record.eval_recall,
        token_accuracy=record.token_accuracy,
        **split_labels(record.per_label_metrics),
        entity_prediction_rate=record.entity_prediction_rate,
        gold_entity_rate=record.gold_entity_rate,
        training_reported_f1=record.eval_f1,
        num_receipts_evaluated=receipts,
        diagnostics={
            "eval_loss": record.eval_loss,
            "f1_interval": None if interval is None else interval.model_dump(),
            "f1_strict": record.eval_f1_strict,
            "f1_constrained": record.eval_f1_constrained,
            "precision_constrained": record.eval_precision_constrained,
            "recall_constrained": record.eval_recall_constrained,
            "per_label_f1_constrained": {
                name: scores.f1 for name, scores in record.per_label_constrained.items()
            },
            "by_merchant": {name: scores.model_dump() for name, scores in record.by_merchant.items()},
            "confusion": record.confusion,
        },
    )
