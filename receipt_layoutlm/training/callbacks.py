"""What happens beside the arithmetic of a run: progress, stopping, records and checkpoints."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from receipt_dynamo.times import now
from receipt_layoutlm.checkpoint import MODEL_FILES, RunFacts
from receipt_layoutlm.child import Stopped, StopRequested
from receipt_layoutlm.data.split import Split
from receipt_layoutlm.errors import Diverged
from receipt_layoutlm.evaluation.evaluate import Evaluation
from receipt_layoutlm.progress import Pulse
from receipt_layoutlm.storage import Storage
from receipt_layoutlm.training.checkpoints import CHECKPOINT_FILES, Identity, checkpoint_name, seal, upload
from receipt_layoutlm.training.config import RunConfig
from receipt_layoutlm.training.history import (
    EpochRecord,
    RunningLoss,
    best_epoch,
    is_complete,
    is_exhausted,
)
from receipt_layoutlm.training.recorder import Recorder
from receipt_layoutlm.training.resume import RESUME_STATE, ResumeState


@dataclass(slots=True)
class Run:
    """One run while it lives: what it was given, and what it has done so far."""

    config: RunConfig
    storage: Storage
    recorder: Recorder
    pulse: Pulse
    stop: StopRequested
    split: Split
    dataset_hash: str
    history: list[EpochRecord] = field(default_factory=list)
    loss: RunningLoss = field(default_factory=RunningLoss)
    seconds_before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def train_seconds(self) -> float:
        """Seconds of training over all attempts that this one continues."""
        return self.seconds_before + time.monotonic() - self.started

    @property
    def best(self) -> EpochRecord | None:
        """The epoch that `best/` holds."""
        return best_epoch(self.history, self.config.hyperparameters.checkpoint_metric)

    def memory(self, total_flos: float) -> ResumeState:
        """What the next attempt has to know."""
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
        )

    def facts(self, step: int, epoch: float) -> RunFacts:
        """What a user of the checkpoint has to know."""
        options = self.config.hyperparameters
        return RunFacts(
            job_id=self.config.job_id,
            job_name=self.config.job_name,
            label_list=self.config.labels.tags,
            label_merges=dict(self.config.labels.merges),
            max_seq_length=options.max_seq_length,
            window_size=options.window_size,
            window_stride=options.window_stride,
            precision=self.config.precision,
            step=step,
            epoch=epoch,
        )


class ProgressCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Says where the training is."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """A batch of a longer step is done."""
        self.on_step_end(args, state, control)

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """A step is done."""
        self._run.pulse.beat(
            "training", epoch=state.epoch, step=state.global_step, total_steps=state.max_steps
        )


class StopCallback(TrainerCallback):  # type: ignore[misc]
    """Asks for a checkpoint when the daemon asks to stop; the checkpoint's callback then leaves."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Save here, unless the epoch is over: it is scored and saved anyway, and must keep its scores."""
        if self._run.stop and not float(state.epoch or 0).is_integer():
            control.should_save = True
        return control


class RecordCallback(TrainerCallback):  # type: ignore[misc]
    """Records an epoch's scores and ends a run that no longer improves."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_step_end(
        self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """A step has added its loss."""
        self._run.loss.steps += 1

    def on_evaluate(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        evaluation: Evaluation | None = None,
        **_: Any,
    ) -> TrainerControl:
        """The held-out receipts have been scored."""
        if evaluation is None:
            return control
        run = self._run
        record = _epoch_record(state, evaluation, run.loss.mean)
        run.loss.reset()
        run.history.append(record)
        run.recorder.record_epoch(run.history)
        run.pulse.say(
            "training",
            f"epoch {record.epoch:g} has F1 {record.eval_f1:.4f}",
            epoch=record.epoch,
            step=record.global_step,
            total_steps=state.max_steps,
            metrics=record.summary(),
        )
        if is_exhausted(run.history, run.config.hyperparameters):
            control.should_training_stop = True
        return control


class CheckpointCallback(TrainerCallback):  # type: ignore[misc]
    """Uploads what the Trainer saved, and leaves when asked to."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_save(
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """A checkpoint lies in the work directory.

        Raises:
            Stopped: the daemon asked for it, and there is training left.
        """
        run = self._run
        folder = Path(str(args.output_dir)) / checkpoint_name(state.global_step)
        (folder / RESUME_STATE).write_text(run.memory(state.total_flos).model_dump_json(), encoding="utf-8")
        is_best = run.best is not None and run.best.global_step == state.global_step
        with run.pulse.working("uploading", folder.name):
            self._upload(folder, state, is_best=is_best)
            if is_best:
                publish_best(run, folder)
        shutil.rmtree(folder)
        if run.stop and not is_complete(run.history, run.config.hyperparameters):
            raise Stopped

    def _upload(self, folder: Path, state: TrainerState, *, is_best: bool) -> None:
        run = self._run
        facts = run.facts(state.global_step, float(state.epoch or 0))
        manifest = seal(folder, CHECKPOINT_FILES, facts, _identity(run, state.global_step))
        uri = f"{run.config.checkpoints_uri}{checkpoint_name(state.global_step)}/"
        upload(run.storage, folder, manifest, uri)
        run.recorder.record_checkpoint(uri, manifest, is_best=is_best)


def publish_best(run: Run, folder: Path) -> None:
    """Replace `best/` by the model of a sealed checkpoint folder.

    Each file is overwritten, the manifest last; a reader in between sees files that do not fit the manifest.
    """
    best = run.best
    if best is None:
        return
    facts = run.facts(best.global_step, best.epoch)
    manifest = seal(folder, MODEL_FILES, facts, _identity(run, best.global_step))
    run.pulse.say("uploading", "best", epoch=best.epoch, step=best.global_step)
    upload(run.storage, folder, manifest, run.config.best_uri)


def _identity(run: Run, step: int) -> Identity:
    scores = next((record.summary() for record in run.history if record.global_step == step), {})
    return Identity(run.config.job_id, run.config.task.attempt, scores)


def _epoch_record(state: TrainerState, evaluation: Evaluation, train_loss: float) -> EpochRecord:
    logged = next(entry for entry in reversed(state.log_history) if "learning_rate" in entry)
    if not math.isfinite(evaluation.loss):
        raise Diverged(
            f"The validation loss is {evaluation.loss} at step {state.global_step}. "
            "Lower learning_rate, raise warmup_ratio, or use precision float32."
        )
    scores = evaluation.scores
    return EpochRecord(
        epoch=float(state.epoch or 0),
        global_step=state.global_step,
        eval_loss=evaluation.loss,
        eval_f1=scores.f1,
        eval_precision=scores.precision,
        eval_recall=scores.recall,
        train_loss=train_loss,
        learning_rate=logged["learning_rate"],
        token_accuracy=scores.token_accuracy,
        entity_prediction_rate=scores.entity_prediction_rate,
        gold_entity_rate=scores.gold_entity_rate,
        recorded_at=now(),
        per_label_metrics=scores.per_label,
    )
