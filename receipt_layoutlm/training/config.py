"""One run's settings in one frozen object: the request, where things lie, and this machine's arithmetic."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import TrainingArguments

from messages.child import TrainTask
from messages.hyperparameters import Hyperparameters, Precision
from receipt_layoutlm.checkpoint import Arithmetic
from receipt_layoutlm.errors import ConfigurationError
from receipt_layoutlm.evaluation.predict import fastest_arithmetic
from receipt_layoutlm.labels import LabelSet, resolve_labels


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What one run is to do.

    Attributes:
        task: the job file.
        labels: what is learned.
        precision: arithmetic of the forward pass.
        root: S3 folder of the run, with its slash.
        work_dir: local folder of this attempt.
    """

    task: TrainTask
    labels: LabelSet
    precision: Arithmetic
    root: str
    work_dir: Path

    @classmethod
    def from_task(cls, task: TrainTask) -> RunConfig:
        """Resolve a job file.

        Raises:
            ConfigurationError: labels or arithmetic that do not exist here.
        """
        hyperparameters = task.job.hyperparameters
        root = task.run_s3_uri if task.run_s3_uri.endswith("/") else f"{task.run_s3_uri}/"
        return cls(
            task,
            resolve_labels(hyperparameters),
            choose_precision(hyperparameters.precision),
            root,
            Path(task.work_dir),
        )

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The request's options."""
        return self.task.job.hyperparameters

    @property
    def job_id(self) -> str:
        """Id of the job."""
        return self.task.job.job_id

    @property
    def job_name(self) -> str:
        """Name of the job."""
        return self.task.job.job_name

    @property
    def checkpoints_uri(self) -> str:
        """Prefix of the checkpoints."""
        return f"{self.root}checkpoints/"

    @property
    def best_uri(self) -> str:
        """Prefix of the best checkpoint."""
        return f"{self.root}best/"

    def steps(self, windows: int) -> int:
        """Optimisation steps of the whole schedule over so many training windows."""
        options = self.hyperparameters
        batches = math.ceil(windows / options.batch_size)
        return math.ceil(batches / options.gradient_accumulation_steps) * options.epochs

    def training_arguments(self, windows: int) -> TrainingArguments:
        """The Trainer's arguments for so many training windows."""
        options = self.hyperparameters
        return TrainingArguments(
            output_dir=str(self.work_dir / "checkpoints"),
            num_train_epochs=options.epochs,
            per_device_train_batch_size=options.batch_size,
            gradient_accumulation_steps=options.gradient_accumulation_steps,
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            warmup_steps=math.ceil(options.warmup_ratio * self.steps(windows)),
            max_grad_norm=options.max_grad_norm,
            seed=options.seed,
            data_seed=options.seed,
            bf16=self.precision == "bf16",
            fp16=self.precision == "fp16",
            torch_compile=options.compile,
            use_cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
            dataloader_pin_memory=torch.cuda.is_available(),
            logging_strategy="epoch",
            eval_strategy="epoch",
            save_strategy="epoch",
            # A loss that is no number has to be seen, not replaced by the mean of its predecessors.
            logging_nan_inf_filter=False,
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
        )


def choose_precision(requested: Precision) -> Arithmetic:
    """The arithmetic that a request means on this machine.

    Raises:
        ConfigurationError: the machine cannot do what is asked.
    """
    if requested == "auto":
        return fastest_arithmetic()
    if requested == "fp16" and not torch.cuda.is_available():
        raise ConfigurationError(
            "precision fp16 needs a CUDA device, and there is none. Use auto, float32 or bf16."
        )
    if requested == "bf16" and torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        raise ConfigurationError("This CUDA device has no bf16. Use fp16, float32 or auto.")
    return requested


def use_all_cpus() -> int:
    """Let torch use every CPU of this process, unless OMP_NUM_THREADS says otherwise; returns how many.

    In a container they are fewer than the host has.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(len(affinity(0)) if affinity else os.cpu_count() or 1)
    return torch.get_num_threads()
