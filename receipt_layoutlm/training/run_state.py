"""State of one run: history, running loss, state to resume from."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from messages.fields import Message
from messages.options.encoding import EncodingOptions
from receipt_layoutlm.checkpoint import Manifest, RunFacts
from receipt_layoutlm.data.split import Split, SplitSource
from receipt_layoutlm.evaluation.evaluate import Evaluation
from receipt_layoutlm.tag_transitions import Transitions
from receipt_layoutlm.training.config import RunConfig
from receipt_layoutlm.training.distributed import Ranks
from receipt_layoutlm.training.recorder import Recorder
from receipt_layoutlm.training.speed.throughput import ThroughputMeter
from run_records.epoch_record import EpochRecord, best_epoch
from run_records.job_process.child_main import StopRequested
from run_records.job_process.heartbeat import ProgressReporter
from run_records.s3_store import S3Store

RESUME_STATE = "resume.json"


class ResumeState(Message):
    """`resume.json`: the run's memory; the split stays what it was even when the table has changed since."""

    schema_version: Literal[1] = 1
    dataset_hash: str
    val_receipt_keys: tuple[str, ...]
    val_split_source: SplitSource
    val_keys_missing: int
    history: tuple[EpochRecord, ...]
    epoch_loss_total: float = 0.0
    epoch_loss_steps: int = 0
    train_seconds: float
    total_flos: float
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """A downloaded and verified checkpoint.

    Attributes:
        folder: where its files lie.
        own: whether it is this job's; another run's history and split do not carry over.
    """

    folder: Path
    manifest: Manifest
    facts: RunFacts
    state: ResumeState
    own: bool

    @property
    def history(self) -> tuple[EpochRecord, ...]:
        """The epochs of this job so far."""
        return self.state.history if self.own else ()


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


@dataclass(slots=True)
class Run:
    """One run while it lives.

    Attributes:
        seconds_before: of training, in the attempts that this one continues.
        cost_before: in USD, of the same; None where a price was not known.
        ranks: this process among those that train together.
    """

    config: RunConfig
    storage: S3Store
    recorder: Recorder
    pulse: ProgressReporter
    stop: StopRequested
    split: Split
    dataset_hash: str
    transitions: Transitions | None = None
    history: list[EpochRecord] = field(default_factory=list)
    loss: RunningLoss = field(default_factory=RunningLoss)
    meter: ThroughputMeter = field(default_factory=ThroughputMeter)
    seconds_before: float = 0.0
    cost_before: float | None = 0.0
    ranks: Ranks = field(default_factory=Ranks)
    started: float = field(default_factory=time.monotonic)

    @property
    def train_seconds(self) -> float:
        """Seconds of training over all attempts that this one continues."""
        return self.seconds_before + time.monotonic() - self.started

    @property
    def cost_usd(self) -> float | None:
        """Cost of the machines so far, in USD; None where the price of one is unknown."""
        price = self.config.task.usd_per_hour
        if price is None or self.cost_before is None:
            return None
        return self.cost_before + (self.train_seconds - self.seconds_before) / 3600 * price

    @property
    def best(self) -> EpochRecord | None:
        """The epoch that `best/` holds."""
        return best_epoch(self.history, self.config.hyperparameters.checkpoint_metric)

    def memory(self, total_flos: float) -> ResumeState:
        """The state that the next attempt resumes from."""
        return ResumeState(
            dataset_hash=self.dataset_hash,
            val_receipt_keys=self.split.val_keys,
            val_split_source=self.split.source,
            val_keys_missing=self.split.missing,
            history=tuple(self.history),
            epoch_loss_total=self.loss.total,
            epoch_loss_steps=self.loss.steps,
            train_seconds=self.train_seconds,
            total_flos=total_flos,
            cost_usd=self.cost_usd,
        )

    def facts(self, step: int, epoch: float) -> RunFacts:
        """Facts about the run for users of the checkpoint."""
        options = self.config.hyperparameters
        return RunFacts(
            job_id=self.config.job_id,
            job_name=self.config.job_name,
            label_list=self.config.labels.tags,
            label_merges=dict(self.config.labels.merges),
            **options.model_dump(include=set(EncodingOptions.model_fields)),
            precision=self.config.precision,
            transitions=self.transitions,
            step=step,
            epoch=epoch,
        )


def epoch_record(evaluation: Evaluation, **training: Any) -> EpochRecord:
    """The record of an evaluation; `training` is where the training is, in the names of the fields."""
    scores, constrained = evaluation.scores, evaluation.constrained
    return EpochRecord(
        **training,
        eval_loss=evaluation.loss,
        eval_f1=scores.f1,
        eval_precision=scores.precision,
        eval_recall=scores.recall,
        token_accuracy=scores.token_accuracy,
        entity_prediction_rate=scores.entity_prediction_rate,
        gold_entity_rate=scores.gold_entity_rate,
        per_label_metrics=scores.per_label,
        eval_f1_interval=evaluation.interval,
        eval_f1_strict=scores.f1_strict,
        eval_f1_constrained=constrained.f1,
        eval_precision_constrained=constrained.precision,
        eval_recall_constrained=constrained.recall,
        per_label_constrained=constrained.per_label,
        by_merchant=evaluation.by_merchant,
        confusion=evaluation.confusion,
        eval_seconds=evaluation.seconds,
    )
