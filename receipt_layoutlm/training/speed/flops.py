"""What a training has to compute, and what this machine could: the two sides of a utilisation."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch

_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}
_ROUNDS = 8
_FORWARD_AND_BACKWARD = 3  # gradients of inputs and of weights cost as much as the products themselves


def model_flops(model: Any, lengths: Iterable[int]) -> float:
    """Floating point operations of a training pass over windows of so many real tokens.

    Of each token six times the parameters without embeddings, and twelve times layers, width and length for
    the products of attention (Kaplan et al., 2020, section 2.1, with both passes). Padding, what is computed
    twice, and the optimizer do not count.
    """
    lengths = list(lengths)
    config = model.config
    dense = 2 * _FORWARD_AND_BACKWARD * model.num_parameters(exclude_embeddings=True) * sum(lengths)
    scores = 4 * _FORWARD_AND_BACKWARD * config.num_hidden_layers * config.hidden_size
    return float(dense + scores * sum(length * length for length in lengths))


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of this machine in its best product of two square matrices."""
    side = _SIDE[device.type]
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        (one @ other)[0, 0].item()  # waits for an accelerator
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best
