"""The evaluations of a run so far, and what follows from them: which is best, and whether to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from messages.fields import Message
from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.evaluation.bootstrap import Interval
from receipt_layoutlm.evaluation.evaluate import MerchantScores
from receipt_layoutlm.evaluation.scores import Confusion, LabelScores
from receipt_layoutlm.training.metric import labels_of_metric


@dataclass(slots=True)
class RunningLoss:
    """The training loss since the last evaluation, kept over interruptions.

    The Trainer keeps one too, but begins anew wherever it continues.
    """

    total: float = 0.0
    steps: int = 0

    @property
    def mean(self) -> float:
        """Mean over the optimisation steps so far, in nats."""
        return self.total / max(self.steps, 1)

    def reset(self) -> None:
        """The model has been evaluated."""
        self.total, self.steps = 0.0, 0


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
