"""One evaluation of a run: the model for training, `run.json` and readers; best epoch, early stopping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pydantic
from pydantic import Field

from messages.fields import Message
from messages.hyperparameters import Hyperparameters
from receipt_dynamo.entities.field_types import Timestamp
from run_records.lenient_model import LenientModel
from run_records.scores import Confusion, Interval, LabelScores, MerchantScores


def labels_of_metric(metric: str) -> tuple[str, ...]:
    """The labels of `label:NAME` and `macro:A,B`, whose mean F1 counts; none for an overall metric."""
    return tuple(metric.partition(":")[2].split(",")) if ":" in metric else ()


class EpochRecord(Message):
    """One evaluation, in the names of `run.json`; `epoch` is a fraction where it came within one.

    `recorded_at` is the time of all its metrics. The fields after it are missing from records of older
    checkpoints.

    Attributes:
        grad_norm: L2 norm of the last step's gradients, before clipping.
        eval_seconds: that the scoring took.
        train_runtime: seconds of training so far, over all attempts.
        total_flos: floating point operations so far.
        train_seconds and what follows: of the steps since the evaluation before, as `Speed` has them.
    """

    epoch: float
    global_step: int
    eval_loss: float
    eval_f1: float
    eval_precision: float
    eval_recall: float
    train_loss: float
    learning_rate: float
    token_accuracy: float
    entity_prediction_rate: float
    gold_entity_rate: float
    per_label_metrics: dict[str, LabelScores]
    recorded_at: str
    eval_f1_interval: Interval | None = None
    eval_f1_strict: float | None = None
    eval_f1_constrained: float | None = None
    eval_precision_constrained: float | None = None
    eval_recall_constrained: float | None = None
    per_label_constrained: dict[str, LabelScores] = Field(default_factory=dict)
    by_merchant: dict[str, MerchantScores] = Field(default_factory=dict)
    confusion: Confusion = Field(default_factory=dict)
    grad_norm: float | None = None
    eval_seconds: float | None = None
    train_runtime: float | None = None
    total_flos: float | None = None
    train_seconds: float | None = None
    data_seconds: float | None = None
    samples_per_second: float | None = None
    steps_per_second: float | None = None
    tokens_per_second: float | None = None
    memory_used: int | None = None
    gpu_memory_used: int | None = None
    gpu_utilization: float | None = None

    def rank(self, metric: str) -> float:
        """The value of a checkpoint metric, turned so that larger is better."""
        names = labels_of_metric(metric)
        if names:
            return sum(self.per_label_metrics[name].f1 for name in names) / len(names)
        return -self.eval_loss if metric == "loss" else float(getattr(self, _FIELDS[metric]))

    def summary(self) -> dict[str, float]:
        """The overall scores, for a progress line or a manifest."""
        known = {"eval_f1_constrained": self.eval_f1_constrained, "eval_f1_strict": self.eval_f1_strict}
        return {
            "eval_f1": self.eval_f1,
            "eval_precision": self.eval_precision,
            "eval_recall": self.eval_recall,
            "eval_loss": self.eval_loss,
            "train_loss": self.train_loss,
            **{name: value for name, value in known.items() if value is not None},
        }


_FIELDS = {
    "f1": "eval_f1",
    "precision": "eval_precision",
    "recall": "eval_recall",
    "accuracy": "token_accuracy",
}


def best_epoch(history: Sequence[EpochRecord], metric: str) -> EpochRecord | None:
    """The first evaluation with the best value of a checkpoint metric."""
    return max(history, key=lambda record: record.rank(metric), default=None)


def epochs_since_best(history: Sequence[EpochRecord], metric: str) -> int:
    """Evaluations after the best one."""
    best = best_epoch(history, metric)
    return 0 if best is None else len(history) - 1 - list(history).index(best)


def is_exhausted(history: Sequence[EpochRecord], hyperparameters: Hyperparameters) -> bool:
    """Whether early stopping ends the run here; its only state is the history, so a resume counts right."""
    patience = hyperparameters.early_stopping_patience
    return 0 < patience <= epochs_since_best(history, hyperparameters.checkpoint_metric)


def is_complete(history: Sequence[EpochRecord], hyperparameters: Hyperparameters) -> bool:
    """Whether no epoch is left to train."""
    if not history:
        return False
    return history[-1].epoch >= hyperparameters.epochs or is_exhausted(history, hyperparameters)


class LabelFacts(LenientModel):
    """Scores of one label; `support` counts its true entities among the validation receipts."""

    f1: float
    precision: float = 0.0
    recall: float = 0.0
    support: int = 0


class MerchantFacts(LenientModel):
    """Scores of the validation receipts whose merchants training has seen, or has not."""

    receipts: int = 0
    f1: float
    f1_constrained: float | None = None


class EpochFacts(LenientModel):
    """One evaluation. Scores are ratios, losses in nats; what was not recorded is None or empty.

    Attributes:
        epoch: passes over the training receipts so far; a fraction where it came within one.
        train_loss: mean over the optimisation steps since the evaluation before.
        learning_rate: of the last step.
        grad_norm: L2 norm of the last step's gradients, before clipping.
        per_label_metrics: label to its scores.
        by_merchant: `seen` and `unseen`.
        confusion: true label to the label that its words were given, to their count; `O` is none.
        train_seconds, data_seconds, eval_seconds: what training, waiting for batches, and scoring took.
        samples_per_second, steps_per_second, tokens_per_second: of the training.
        train_runtime: seconds of training so far, over all attempts.
        total_flos: floating point operations of the run so far.
        gpu_memory_used, memory_used: peak bytes of the accelerator, and of the process.
        gpu_utilization: per cent, mean.
    """

    epoch: float
    global_step: int = 0
    recorded_at: Timestamp | None = None
    attempt: int | None = None
    eval_loss: float | None = None
    eval_f1: float | None = None
    eval_precision: float | None = None
    eval_recall: float | None = None
    eval_f1_constrained: float | None = None
    eval_f1_strict: float | None = None
    eval_f1_interval: Interval | None = None
    train_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    token_accuracy: float | None = None
    entity_prediction_rate: float | None = None
    gold_entity_rate: float | None = None
    per_label_metrics: dict[str, LabelFacts] = Field(default_factory=dict)
    by_merchant: dict[str, MerchantFacts] = Field(default_factory=dict)
    confusion: dict[str, dict[str, int]] = Field(default_factory=dict)
    train_seconds: float | None = None
    data_seconds: float | None = None
    eval_seconds: float | None = None
    samples_per_second: float | None = None
    steps_per_second: float | None = None
    tokens_per_second: float | None = None
    train_runtime: float | None = None
    total_flos: float | None = None
    gpu_memory_used: int | None = None
    gpu_utilization: float | None = None
    memory_used: int | None = None


def read_epochs(entries: Iterable[Mapping[str, Any]]) -> tuple[EpochFacts, ...]:
    """Read `epoch_metrics` of a `run.json`, whoever wrote it, in the order of their steps."""
    found = []
    for entry in entries:
        try:
            found.append(EpochFacts.lenient(entry))
        except pydantic.ValidationError:  # an entry that does not say of which epoch it is, is none
            continue
    return tuple(sorted(found, key=lambda one: (one.epoch, one.global_step)))
