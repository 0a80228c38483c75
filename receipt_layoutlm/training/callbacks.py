"""Trainer callbacks: progress reports, stopping, records and checkpoints."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from receipt_dynamo.clock import now
from receipt_layoutlm.checkpoint import MODEL_FILES, Manifest
from receipt_layoutlm.errors import Diverged
from receipt_layoutlm.evaluation.evaluate import Evaluation, HeldOut
from receipt_layoutlm.training.checkpoint_store import (
    CHECKPOINT_FILES,
    Identity,
    Uploads,
    checkpoint_name,
    seal,
    upload,
)
from receipt_layoutlm.training.model_card import CARD, write_card
from receipt_layoutlm.training.run_documents import describe_predictions
from receipt_layoutlm.training.run_state import RESUME_STATE, Run, epoch_record
from run_records.epoch_record import EpochRecord, is_complete, is_exhausted
from run_records.job_process.child_main import Stopped

_SPEED = ("samples_per_second", "gpu_memory_used", "gpu_utilization")


class ProgressCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Reports the progress of the training."""

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
        """Save here, unless the epoch is over and scored: it is saved then, and must keep its scores."""
        is_scored = self._run.config.evaluated_by == "epoch" and float(state.epoch or 0).is_integer()
        if self._run.stop and not is_scored:
            control.should_save = True
        return control


class RecordCallback(TrainerCallback):  # type: ignore[misc]
    """Records the scores of each evaluation and ends a run that no longer improves."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """A step has added its loss; the last one is scored, wherever it falls between evaluations."""
        self._run.loss.steps += 1
        self._run.meter.end_step()
        if self._run.config.evaluated_by == "steps" and state.global_step >= state.max_steps:
            control.should_log = control.should_evaluate = control.should_save = True
        return control

    def on_evaluate(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        evaluation: Evaluation | None = None,
        held_out: HeldOut | None = None,
        **_: Any,
    ) -> TrainerControl:
        """The held-out receipts have been scored."""
        if evaluation is None:
            return control
        run = self._run
        record = _epoch_record(run, state, evaluation)
        run.loss.reset()
        run.history.append(record)
        if run.ranks.is_first:
            self._write(record, evaluation, held_out)
        run.pulse.say(
            "training",
            f"epoch {record.epoch:g} has F1 {record.eval_f1:.4f}",
            epoch=record.epoch,
            step=record.global_step,
            total_steps=state.max_steps,
            metrics={**record.summary(), **_speed(record)},
        )
        if is_exhausted(run.history, run.config.hyperparameters):
            control.should_training_stop = True
        return control

    def _write(self, record: EpochRecord, evaluation: Evaluation, held_out: HeldOut | None) -> None:
        run = self._run
        run.recorder.record_epoch(run.history, is_best=record is run.best)
        if record is run.best and held_out is not None:
            run.recorder.write_predictions(
                describe_predictions(run.config.job_name, record, run.split.validation, held_out, evaluation)
            )


class CheckpointCallback(TrainerCallback):  # type: ignore[misc]
    """Uploads the Trainer's checkpoints in the background, and ends the training when asked to stop."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._uploads = Uploads()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """A checkpoint lies in the work directory; the one before it has to be up by now.

        Raises:
            Stopped: the daemon asked for it, and there is training left.
        """
        run = self._run
        if run.ranks.is_first:
            self._begin_upload(Path(str(args.output_dir)) / checkpoint_name(state.global_step), state)
        if run.stop and not is_complete(run.history, run.config.hyperparameters):
            self._wait()
            raise Stopped

    def _begin_upload(self, folder: Path, state: TrainerState) -> None:
        run = self._run
        (folder / RESUME_STATE).write_text(run.memory(state.total_flos).model_dump_json(), encoding="utf-8")
        facts = run.facts(state.global_step, float(state.epoch or 0))
        manifest = seal(folder, CHECKPOINT_FILES, facts, _identity(run, state.global_step))
        best = run.best if run.best is not None and run.best.global_step == state.global_step else None
        with run.pulse.working("uploading", folder.name):
            self._uploads.begin(lambda: self._upload(folder, manifest, best))

    def on_train_end(
        self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """The last checkpoint has to be up before the run counts as done."""
        self._wait()

    def _wait(self) -> None:
        with self._run.pulse.working("uploading"):
            self._uploads.finish()

    def _upload(self, folder: Path, manifest: Manifest, best: EpochRecord | None) -> None:
        run = self._run
        uri = f"{run.config.checkpoints_uri}{folder.name}/"
        upload(run.storage, folder, manifest, uri, run.config.task.checkpoint_tag)
        run.recorder.record_checkpoint(uri, manifest, is_best=best is not None)
        if best is not None:
            publish_best(run, folder, best)
        shutil.rmtree(folder)


def publish_best(run: Run, folder: Path, best: EpochRecord) -> None:
    """Replace `best/` by the model of a sealed checkpoint folder, and a card about it.

    Each file is overwritten, the manifest last; a reader in between sees files that do not fit the manifest.
    """
    facts = run.facts(best.global_step, best.epoch)
    (folder / CARD).write_text(write_card(run.recorder.description, best), encoding="utf-8")
    manifest = seal(folder, (*MODEL_FILES, CARD), facts, _identity(run, best.global_step))
    upload(run.storage, folder, manifest, run.config.best_uri)


def _identity(run: Run, step: int) -> Identity:
    scores = next((record.summary() for record in run.history if record.global_step == step), {})
    return Identity(run.config.job_id, run.config.task.attempt, scores)


def _epoch_record(run: Run, state: TrainerState, evaluation: Evaluation) -> EpochRecord:
    if not math.isfinite(evaluation.loss):
        raise Diverged(
            f"The validation loss is {evaluation.loss} at step {state.global_step}. "
            "Lower learning_rate, raise warmup_ratio, or use precision float32."
        )
    logged = next(entry for entry in reversed(state.log_history) if "learning_rate" in entry)
    return epoch_record(
        evaluation,
        epoch=float(state.epoch or 0),
        global_step=state.global_step,
        train_loss=run.loss.mean,
        learning_rate=logged["learning_rate"],
        grad_norm=_finite(logged.get("grad_norm")),
        recorded_at=now(),
        train_runtime=run.train_seconds,
        total_flos=float(state.total_flos),
        **run.meter.read().model_dump(),
    )


def _speed(record: EpochRecord) -> dict[str, float]:
    """The measurements that the daemon emits as metrics; the others are only in the table."""
    measured = {name: getattr(record, name) for name in _SPEED}
    return {name: value for name, value in measured.items() if value is not None}


def _finite(number: float | None) -> float | None:
    # A step whose gradients overflow is skipped by fp16's scaler; its norm has no form in the table.
    return number if number is not None and math.isfinite(number) else None
