"""The model of `epochs.json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from messages.fields import Message

EPOCHS_JSON = "epochs.json"


class EpochScores(Message):
    """One checkpoint. Scores are of argmax tags as seqeval's default mode counts them; times in ms.

    `training_reported_f1` is what the training recorded at that step. `diagnostics` holds what else the
    evaluation gave: constrained decoding, strict mode, interval, merchants, confusion, loss.
    """

    checkpoint: str
    step: int
    epoch: float
    heldout_f1: float
    heldout_precision: float
    heldout_recall: float
    token_accuracy: float
    per_label_f1: dict[str, float]
    per_label_precision: dict[str, float]
    per_label_recall: dict[str, float]
    per_label_support: dict[str, int]
    entity_prediction_rate: float
    gold_entity_rate: float
    training_reported_f1: float | None
    num_receipts_evaluated: int
    avg_inference_ms: float | None = None
    total_inference_ms: float | None = None
    diagnostics: dict[str, Any] = Field(default_factory=dict)


class Compute(Message):
    """The hardware and arithmetic that computed the scores."""

    device: str
    gpu_name: str | None = None
    instance_type: str | None = None


class EpochsFile(Message):
    """The whole document."""

    job_name: str
    run_s3_uri: str
    val_set_source: Literal["persisted_val_receipt_keys"] = "persisted_val_receipt_keys"
    val_receipts_hash: str
    val_receipts_hash_recorded: str | None
    val_receipts_hash_verified: bool
    num_val_receipts: int
    metrics_comparable: bool
    comparability_reason: str
    random_seed: int | None
    label_list: tuple[str, ...]
    label_merges: dict[str, tuple[str, ...]]
    metric: Literal["seqeval_entity_f1"] = "seqeval_entity_f1"
    inference_mode: Literal["window_mean_argmax"] = "window_mean_argmax"
    window_size: int
    window_stride: int
    compute: Compute
    epochs: tuple[EpochScores, ...]
    best_epoch_heldout: float | None
    best_checkpoint_heldout: str | None
    showcase_receipt_keys: tuple[str, ...]
    generated_at: str
