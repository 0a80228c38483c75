"""One rung: trains with some optimisations and measures."""

from __future__ import annotations

import os
import sys

# As in the child process of the train worker, before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.checkpoint import Arithmetic
from receipt_layoutlm.data.examples import Collator, Example
from receipt_layoutlm.evaluation.predict import fastest_arithmetic
from receipt_layoutlm.training.batch_plan import DTYPES
from receipt_layoutlm.training.benchmark.ladder import RUNGS, Measured, Rung, RungTask
from receipt_layoutlm.training.benchmark.workload import Workload, drop_nothing
from receipt_layoutlm.training.bucketed_trainer import BucketedTrainer
from receipt_layoutlm.training.config import choose_device, recompute_activations, use_all_cpus
from receipt_layoutlm.training.loss import token_loss
from receipt_layoutlm.training.speed.allocator import keep_freed_memory
from receipt_layoutlm.training.speed.batches import LengthBatches
from receipt_layoutlm.training.speed.optimize_model import optimize_model
from receipt_layoutlm.training.speed.throughput import model_flops, peak_flops

_LONGEST = 512
_LEARNING_RATE = 5e-5
_PARITY_WINDOWS = 4
_RSS_BYTES = 1 if sys.platform == "darwin" else 1024


def measure(task: RungTask) -> Measured:
    """Train for some steps, and for some more in which nothing is dropped."""
    rung, threads = RUNGS[task.rung], use_all_cpus()
    if rung.ours:
        keep_freed_memory()
    precision: Arithmetic = fastest_arithmetic() if rung.fast_arithmetic else "float32"
    device = choose_device()
    peak = peak_flops(device, DTYPES[fastest_arithmetic()])
    work = Workload.make(task)
    trainer = _make_trainer(task, rung, precision, work)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    memory = _peak_bytes(device)
    meter = trainer.meter
    real = sum(meter.lengths)
    flops = model_flops(trainer.model, meter.lengths)
    seconds = meter.seconds
    del trainer
    return Measured(
        rung=task.rung,
        arithmetic=precision,
        device=torch.cuda.get_device_name() if device.type == "cuda" else f"{threads} threads",
        tokens_per_second=real / seconds,
        tokens_per_cpu_second=real / meter.cpu_seconds,
        padding=1 - real / meter.computed,
        utilisation=flops / seconds / peak,
        peak_flops=peak,
        memory_bytes=memory,
        losses=tuple(_train_alike(task, rung, precision, work, device)) if task.parity_steps else (),
    )


class StepTimer(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Counts the tokens of all steps but the first, and their time."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.computed = 0
        self.seconds = self.cpu_seconds = 0.0
        self._started = self._cpu_started = 0.0

    def count(self, mask: torch.Tensor) -> None:
        """A batch with this attention mask goes through the model."""
        self.lengths += mask.sum(1).tolist()
        self.computed += mask.numel()

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """The weights have moved; what the first step prepares is not measured."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if state.global_step == 1:
            self.lengths, self.computed = [], 0
            self._started, self._cpu_started = time.perf_counter(), time.process_time()
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = time.process_time() - self._cpu_started


class _Metered:
    """Lets a Trainer's steps be counted."""

    meter: StepTimer

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        self.meter.count(inputs["attention_mask"])
        loss: torch.Tensor = super().training_step(model, inputs, *rest)  # type: ignore[misc]
        return loss


class _Stock(_Metered, Trainer):  # type: ignore[misc]
    pass


class _Ours(_Metered, BucketedTrainer):
    pass


def _make_trainer(task: RungTask, rung: Rung, precision: Arithmetic, work: Workload) -> Any:
    meter = StepTimer()
    with tempfile.TemporaryDirectory() as folder:
        arguments = _arguments(task, rung, precision, folder)
    options: dict[str, Any] = {
        "model": work.model,
        "args": arguments,
        "train_dataset": work.windows,
        "data_collator": _collator(rung, work),
        "compute_loss_func": token_loss,
        "callbacks": [meter],
    }
    trainer: Any
    if rung.ours:
        lengths = [len(window.input_ids) for window in work.windows]
        batches = LengthBatches(lengths, task.windows, None, task.seed, lambda: trainer.state.epoch)
        subset = optimize_model(work.model, Hyperparameters(), arguments.device.type, work.tokens)
        trainer = _Ours(batches, subset, **options)
    else:
        trainer = _Stock(**options)
    trainer.meter = meter
    return trainer


def _arguments(task: RungTask, rung: Rung, precision: Arithmetic, folder: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        max_steps=1 + task.steps,
        per_device_train_batch_size=task.windows,
        learning_rate=_LEARNING_RATE,
        seed=task.seed,
        bf16=precision == "bf16",
        use_cpu=choose_device().type == "cpu",
        dataloader_pin_memory=torch.cuda.is_available(),
        save_strategy="no",
        logging_strategy="no",
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        **(recompute_activations() if rung.checkpointing else {}),
    )


def _collator(rung: Rung, work: Workload) -> Any:
    collate = Collator(work.pad_token_id)

    def pad(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        return collate(examples, _LONGEST if rung.padded else None)

    return pad


def _train_alike(
    task: RungTask, rung: Rung, precision: Arithmetic, work: Workload, device: torch.device
) -> Iterator[float]:
    """The losses of the same steps on the same windows in the arithmetic of a rung, without dropout."""
    model = Workload.make(task).model.to(device).train()
    drop_nothing(model)
    if rung.ours:
        optimize_model(model, Hyperparameters(), device.type, work.tokens)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], _LEARNING_RATE)
    collate = _collator(rung, work)
    for step in range(task.parity_steps):
        windows = work.windows[step * _PARITY_WINDOWS : (step + 1) * _PARITY_WINDOWS]
        batch = {name: tensor.to(device) for name, tensor in collate(windows).items()}
        labels = batch.pop("labels")
        with torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "float32"):
            loss = token_loss(model(**batch), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield loss.item()


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_BYTES


if __name__ == "__main__":
    print(measure(RungTask.model_validate_json(Path(sys.argv[1]).read_bytes())).model_dump_json())  # noqa: T201 - what the parent reads
