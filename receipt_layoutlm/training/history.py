"""The epochs of a run so far, and what follows from them: which is best, and whether to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from messages.fields import Message
from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.evaluation.scores import LabelScores


@dataclass(slots=True)
class RunningLoss:
    """The training loss of the epoch under way, kept over interruptions.

    The Trainer keeps one too, but begins anew wherever it continues.
    """

    total: float = 0.0
    steps: int = 0

    @property
    def mean(self) -> float:
        """Mean over the optimisation steps so far, in nats."""
        return self.total / max(self.steps, 1)

    def reset(self) -> None:
        """An epoch begins."""
        self.total, self.steps = 0.0, 0


class EpochRecord(Message):
    """One evaluated epoch, in the names of `run.json`; `recorded_at` is the time of all its metrics."""

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
    recorded_at: str
    per_label_metrics: dict[str, LabelScores]

    def rank(self, metric: str) -> float:
        """The value of a checkpoint metric, turned so that larger is better."""
        return -self.eval_loss if metric == "loss" else float(getattr(self, _FIELDS[metric]))

    def summary(self) -> dict[str, float]:
        """The overall scores, for a progress line or a manifest."""
        return {
            "eval_f1": self.eval_f1,
            "eval_precision": self.eval_precision,
            "eval_recall": self.eval_recall,
            "eval_loss": self.eval_loss,
            "train_loss": self.train_loss,
        }


_FIELDS = {
    "f1": "eval_f1",
    "precision": "eval_precision",
    "recall": "eval_recall",
    "accuracy": "token_accuracy",
}


def best_epoch(history: Sequence[EpochRecord], metric: str) -> EpochRecord | None:
    """The first epoch with the best value of a checkpoint metric."""
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
