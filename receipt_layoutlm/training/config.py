"""One run's settings in one frozen object: the request, folders, and this machine's arithmetic."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import TrainingArguments

from messages.child_protocol import TrainTask
from messages.hyperparameters import Hyperparameters
from messages.options.machine import Precision
from receipt_layoutlm.checkpoint import Arithmetic
from receipt_layoutlm.evaluation.predict import fastest_arithmetic, fastest_device
from receipt_layoutlm.training.speed.batch_memory import BatchPlan
from run_records.errors import ConfigurationError
from run_records.labels import LabelSet, resolve_labels


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The configuration of one run.

    Attributes:
        task: the job file.
        labels: the label set to learn.
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

    @property
    def evaluated_by(self) -> Literal["epoch", "steps"]:
        """The unit that ends with an evaluation and a checkpoint."""
        return "epoch" if self.hyperparameters.eval_steps is None else "steps"

    def training_arguments(self, batches: int, plan: BatchPlan) -> TrainingArguments:
        """The Trainer's arguments for so many passes an epoch."""
        options = self.hyperparameters
        steps = math.ceil(batches / plan.passes) * options.epochs
        return TrainingArguments(
            output_dir=str(self.work_dir / "checkpoints"),
            num_train_epochs=options.epochs,
            per_device_train_batch_size=plan.windows,
            gradient_accumulation_steps=plan.passes,
            **(recompute_activations() if plan.checkpointing else {}),
            optim="adamw_torch_fused",
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            warmup_steps=math.ceil(options.warmup_ratio * steps),
            max_grad_norm=options.max_grad_norm,
            seed=options.seed,
            data_seed=options.seed,
            bf16=self.precision == "bf16",
            fp16=self.precision == "fp16",
            torch_compile=options.compile,
            use_cpu=choose_device().type == "cpu",
            # Of several processes only: the pooler and fixed tables get no gradient, and would be waited for.
            ddp_find_unused_parameters=True,
            dataloader_num_workers=options.dataloader_workers,
            dataloader_pin_memory=torch.cuda.is_available(),
            accelerator_config={"non_blocking": torch.cuda.is_available()},
            logging_strategy=self.evaluated_by,
            eval_strategy=self.evaluated_by,
            save_strategy=self.evaluated_by,
            logging_steps=options.eval_steps or 1,
            eval_steps=options.eval_steps,
            save_steps=options.eval_steps or 1,
            # A loss that is no number has to be seen, not replaced by the mean of its predecessors.
            logging_nan_inf_filter=False,
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
        )


def choose_device() -> torch.device:
    """The device that this machine trains on."""
    return torch.device(fastest_device())


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


def recompute_activations() -> dict[str, Any]:
    """Arguments of the Trainer that save memory by a second forward pass."""
    # Its name until it became another one within version 5 of transformers.
    name = "activation" if hasattr(TrainingArguments, "activation_checkpointing") else "gradient"
    # The reentrant kind gives no gradients to layers whose inputs need none.
    return {f"{name}_checkpointing": True, f"{name}_checkpointing_kwargs": {"use_reentrant": False}}


def use_all_cpus() -> int:
    """Let torch use every CPU of this process, unless OMP_NUM_THREADS says otherwise; returns how many.

    In a container they are fewer than the host has.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(len(affinity(0)) if affinity else os.cpu_count() or 1)
    return torch.get_num_threads()
