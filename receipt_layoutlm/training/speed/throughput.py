"""Throughput, FLOPs and peak memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from statistics import fmean
from typing import Any

import torch

from messages.fields import Message
from receipt_layoutlm.training.speed.batches import PAGES

_LOOK_SECONDS = 1.0
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Speed(Message):
    """Measurements since the previous evaluation, or since the run resumed after an interruption.

    Attributes:
        train_seconds: in steps, without evaluations and checkpoints.
        data_seconds: of these, spent on waiting for batches.
        samples_per_second, steps_per_second, tokens_per_second: in `train_seconds`; padding is no token.
        memory_used: peak bytes of this process so far.
        gpu_memory_used: peak bytes that tensors took on the accelerator; None without one.
        gpu_utilization: mean per cent of time in which the accelerator computed; None where unknown.
    """

    train_seconds: float
    data_seconds: float
    samples_per_second: float | None = None
    steps_per_second: float | None = None
    tokens_per_second: float | None = None
    memory_used: int | None = None
    gpu_memory_used: int | None = None
    gpu_utilization: float | None = None


def peak_memory() -> int:
    """The most bytes that this process has had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


class ThroughputMeter:
    """Measures throughput from each step's begin, batches and end."""

    def __init__(self) -> None:
        self._utilization = _Utilization()
        self._reset()

    def begin_step(self) -> None:
        """A step begins: batches are asked for."""
        self._begun = time.perf_counter()

    def take(self, batches: Sequence[dict[str, Any]]) -> None:
        """The batches are there."""
        self._data_seconds += time.perf_counter() - self._begun
        self._samples += sum(len(batch[PAGES]) for batch in batches)
        self._tokens += sum(int(batch["attention_mask"].count_nonzero()) for batch in batches)

    def end_step(self) -> None:
        """The step is done."""
        self._steps += 1
        self._train_seconds += time.perf_counter() - self._begun
        self._utilization.look()

    def read(self) -> Speed:
        """Return the measurements and restart them."""
        seconds = self._train_seconds
        found = Speed(
            train_seconds=seconds,
            data_seconds=self._data_seconds,
            memory_used=peak_memory(),
            gpu_memory_used=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
            gpu_utilization=self._utilization.read(),
            **_rates(seconds, samples=self._samples, steps=self._steps, tokens=self._tokens),
        )
        self._reset()
        return found

    def _reset(self) -> None:
        self._begun = time.perf_counter()
        self._train_seconds = self._data_seconds = 0.0
        self._samples = self._tokens = self._steps = 0
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()


class _Utilization:
    """Asks the driver at most once a second: each answer takes it milliseconds."""

    def __init__(self) -> None:
        self._known = torch.cuda.is_available() and find_spec("pynvml") is not None
        self._looked = 0.0
        self._seen: list[int] = []

    def look(self) -> None:
        if self._known and time.perf_counter() - self._looked >= _LOOK_SECONDS:
            self._looked = time.perf_counter()
            self._seen.append(torch.cuda.utilization())

    def read(self) -> float | None:
        seen, self._seen = self._seen, []
        return fmean(seen) if seen else None


def _rates(seconds: float, **counts: int) -> dict[str, float]:
    return {f"{name}_per_second": count / seconds for name, count in counts.items()} if seconds else {}


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
