"""An exponential moving average of the weights: less noisy than single steps; scored and kept.

Exponential moving average after Polyak and Juditsky (1992), with the decay of the first steps lowered so that
fresh weights are soon forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

TRAINED_WEIGHTS = "trained_weights.safetensors"
"""Beside a checkpoint whose model is a mean: the weights that training goes on with."""


class RunningMean:
    """The mean of a model's trained weights.

    Args:
        model: whose weights are averaged; its own ones stay what the optimizer makes of them.
        decay: of the mean per step, below 1.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        self._mean: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after this optimisation step into the mean."""
        weights = self._trained()
        if not self._mean:
            self._mean = {name: weight.clone() for name, weight in weights.items()}
            return
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([self._mean[name] for name in weights], list(weights.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the mean's weights inside this block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def save_trained(self, folder: Path) -> None:
        """Write the weights that training goes on with."""
        trained = {name: weight.contiguous() for name, weight in self._trained().items()}
        safetensors.torch.save_file(trained, folder / TRAINED_WEIGHTS)

    @torch.no_grad()
    def resume(self, folder: Path) -> None:
        """Take the model's weights for the mean, and go on with those that lie beside them.

        Where these do not fit, as another run's on other data, training goes on with the mean itself.
        """
        weights = self._trained()
        self._mean = {name: weight.clone() for name, weight in weights.items()}
        path = folder / TRAINED_WEIGHTS
        if not path.is_file():
            return
        trained = safetensors.torch.load_file(path)
        if _shapes(trained) == _shapes(weights):
            for name, weight in weights.items():
                weight.copy_(trained[name])

    def _trained(self) -> dict[str, Tensor]:
        return {
            name: parameter.detach()
            for name, parameter in self._model.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, weight in self._trained().items():
            if name in self._mean:
                trained = weight.clone()
                weight.copy_(self._mean[name])
                self._mean[name] = trained


def _shapes(weights: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights.items()}


class MeanCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Moves the mean after each step."""

    def __init__(self, mean: RunningMean) -> None:
        self._mean = mean

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """The optimizer has moved the weights."""
        self._mean.update(state.global_step)
