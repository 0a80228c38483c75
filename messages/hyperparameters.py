"""Every option of a training, in one model for the queue, the command line and the child."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from messages.options.augmentation import AugmentationOptions
from messages.options.data import DataOptions
from messages.options.encoding import EncodingOptions
from messages.options.labels import LabelOptions
from messages.options.machine import MachineOptions
from messages.options.optimisation import OptimisationOptions


class Hyperparameters(
    AugmentationOptions, LabelOptions, DataOptions, EncodingOptions, MachineOptions, OptimisationOptions
):
    """How to train and on what; every option of `layoutlm-cli train`, numbers as numbers or as strings."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.window_stride > self.window_size:
            raise ValueError("window_stride must not exceed window_size: words between windows would be lost")
        if self.val_keys_s3 and self.no_frozen_val:
            raise ValueError("val_keys_s3 and no_frozen_val contradict each other: give one of them")
        sources = [source for group in (self.label_merges or {}).values() for source in group]
        if len(sources) != len(set(sources)):
            raise ValueError("label_merges names a source label twice: a label can become only one other")
        return self
