"""The input of a detector: the run, its metric series and its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import Any

import pydantic

from messages.hyperparameters import Hyperparameters
from run_analysis.findings.series import Series
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary
from run_records.epoch_record import EpochFacts


def read_options(config: Mapping[str, Any]) -> Hyperparameters:
    """The hyperparameters among a run's configuration; those of a wrong value are left at their defaults."""
    known = {name: value for name, value in config.items() if name in Hyperparameters.model_fields}
    try:
        return Hyperparameters.model_validate(known)
    except pydantic.ValidationError as error:
        wrong = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        if not wrong:  # fields that contradict each other: none of them can be told to be the wrong one
            return Hyperparameters()
        return read_options({name: value for name, value in known.items() if name not in wrong})


USUAL_RATES = {"scratch:": 1.5e-3, "": 5e-5}
"""Peak learning rates that AdamW takes, by how the model's name begins: fresh weights, and published ones.

The first is what benchmarks/sroie.json and the demonstration train with, the second what LayoutLM's authors
fine-tuned with.
"""

USUAL_F1_NOISE = 0.01
"""Deviation of F1 from one evaluation to the next where the run is too short to tell: about a point."""


@dataclass(frozen=True)
class RunContext:
    """One run.

    Attributes:
        run: its record.
        others: runs that it may be compared with; itself may be among them.
    """

    run: RunDetail
    others: Sequence[RunSummary] = field(default=())

    @cached_property
    def options(self) -> Hyperparameters:
        """The run's hyperparameters."""
        return read_options(self.run.config)

    @cached_property
    def train_loss(self) -> Series:
        """Mean training loss, nats."""
        return self._series("train_loss")

    @cached_property
    def eval_loss(self) -> Series:
        """Loss on the validation receipts, nats."""
        return self._series("eval_loss")

    @cached_property
    def f1(self) -> Series:
        """Entity F1 on the validation receipts."""
        return self._series("eval_f1")

    @cached_property
    def learning_rate(self) -> Series:
        """Learning rate of the last step before each evaluation."""
        return self._series("learning_rate")

    @cached_property
    def grad_norm(self) -> Series:
        """Gradient norm of that step, before clipping."""
        return self._series("grad_norm")

    @cached_property
    def effort(self) -> dict[float, float]:
        """Epoch of each evaluation to the epochs at the peak rate that those until then are worth.

        The area under the recorded learning rate, over the peak: what a training moves by. Towards the end of
        a decay hardly anything can change, whatever is left to learn.
        """
        rates = dict(zip(self.learning_rate.epochs, self.learning_rate.values, strict=True))
        done, before, rate_before = 0.0, 0.0, None
        efforts = {}
        for one in self.run.epochs:
            rate = rates.get(one.epoch, self.peak_rate)
            mean = rate if rate_before is None else (rate + rate_before) / 2
            done += (one.epoch - before) * mean / self.peak_rate
            efforts[one.epoch] = done
            before, rate_before = one.epoch, rate
        return efforts

    @cached_property
    def best_f1(self) -> float:
        """The greatest F1; 0 where none was recorded."""
        return max(self.f1.values, default=0.0)

    @cached_property
    def f1_noise(self) -> float:
        """Deviation of F1 from one evaluation to the next.

        At least half a point: a short run may look quieter than it is.
        """
        return max(self.f1.noise or USUAL_F1_NOISE, USUAL_F1_NOISE / 2)

    @property
    def peak_rate(self) -> float:
        """The learning rate that was asked for."""
        return self.options.learning_rate

    @property
    def usual_rate(self) -> float:
        """A learning rate that is known to work for this kind of model."""
        model = self.options.pretrained_model
        return next(rate for beginning, rate in USUAL_RATES.items() if model.startswith(beginning))

    @property
    def epochs_done(self) -> float:
        """Epochs at the last evaluation."""
        return self.run.epochs[-1].epoch if self.run.epochs else 0.0

    @property
    def steps_per_epoch(self) -> float | None:
        """Optimisation steps of an epoch, by what the evaluations say."""
        known = [one.global_step / one.epoch for one in self.run.epochs if one.epoch and one.global_step]
        return median(known) if known else None

    @property
    def has_succeeded(self) -> bool:
        """Whether the run came to its end; one that is under way may still do what it has not done yet."""
        return self.run.run.status == "succeeded"

    @property
    def best_checkpoint(self) -> str | None:
        """The checkpoint of the best evaluation: where it lies, or its name."""
        return None if self.run.best is None else self.checkpoint_of(self.run.best)

    def checkpoint_of(self, evaluation: EpochFacts) -> str:
        """The checkpoint of an evaluation: where it lies, or its name."""
        step = evaluation.global_step
        places = [one.s3_uri for one in self.run.checkpoints if one.step == step]
        return places[-1] if places else f"checkpoint-{step}"

    def _series(self, name: str) -> Series:
        return Series.of(name, self.run.epochs)
