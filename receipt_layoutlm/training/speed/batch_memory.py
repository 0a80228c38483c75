"""Memory model of a batch, and the trial that confirms it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.data.examples import Collator, Example

SIZES = (64, 32, 16, 8, 4, 2, 1)
"""Batch sizes that an automatic batch is chosen from, in windows."""
USUAL = 8
"""Windows that an optimisation step of an automatic batch has at least, by accumulation if need be."""

_MARGIN = 0.8
_STATE_BYTES = 20  # of a parameter: weight, gradient, two moments, and the weight in bf16
# Numbers that a layer keeps for its gradient: of each token in the model's width, and of each score.
_KEPT_WIDTHS = 22
_KEPT_SCORES = 3
_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|Cannot allocate memory")
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The plan of a run's batches.

    Attributes:
        windows: of a batch, by all processes together; the same on every host that the run comes to.
        accumulation: batches of an optimisation step; the same on every host, too.
        checkpointing: whether activations are computed again for the gradients instead of kept.
        parts: passes in which the processes take a batch: more than one where a GPU would have more windows
            at once than `batch_size`, since the run began with more GPUs.
    """

    windows: int
    accumulation: int
    checkpointing: bool
    parts: int = 1

    @property
    def passes(self) -> int:
        """Forward passes of an optimisation step."""
        return self.accumulation * self.parts


@dataclass(frozen=True, slots=True)
class Demand:
    """The memory demand of a model, in bytes."""

    states: int
    window: int
    checkpointed_window: int

    @classmethod
    def of(cls, model: Any, tokens: int, number_bytes: int) -> Demand:
        """The demand for windows of so many tokens whose activations take so many bytes a number."""
        config = model.config
        scores = _KEPT_SCORES * config.num_attention_heads * tokens
        layer = tokens * number_bytes * (_KEPT_WIDTHS * config.hidden_size + scores)
        states = _STATE_BYTES * sum(parameter.numel() for parameter in model.parameters())
        between = tokens * number_bytes * config.hidden_size * config.num_hidden_layers
        return cls(states, layer * config.num_hidden_layers, layer + between)

    def bytes(self, windows: int, *, checkpointing: bool) -> int:
        """Bytes of a training with batches of so many windows."""
        return self.states + windows * (self.checkpointed_window if checkpointing else self.window)


def plan_batches(  # noqa: PLR0913 - what a plan follows from
    options: Hyperparameters,
    demand: Demand,
    free: int,
    fits: Callable[[int], bool] | None = None,
    *,
    before: int | None = None,
    devices: int = 1,
) -> BatchPlan:
    """Decide what a request leaves to the machine.

    `batch_size` is of each device, so a run begins with that times the devices in a batch. It keeps this
    batch wherever it goes on, and so its schedule and scores: fewer devices take it in several passes.

    `batch_size: auto` takes the largest of SIZES that fits. Where that is less than 8, so many more batches
    are accumulated that an optimisation step has 8 windows times gradient_accumulation_steps nevertheless.

    Args:
        options: the request.
        demand: of the run's longest windows.
        free: bytes for all of it.
        fits: tries a batch of so many of the longest windows; without it, `demand` is believed.
        before: windows of a batch of an interrupted run, by all its devices, which the rest of it keeps.
        devices: processes that train together.
    """
    room = int(free * _MARGIN)

    def is_estimated(windows: int) -> bool:
        return demand.bytes(windows, checkpointing=options.gradient_checkpointing == "on") <= room

    accumulation = options.gradient_accumulation_steps
    if options.batch_size == "auto":
        of_device = next((size for size in SIZES if (fits or is_estimated)(size)), 1)
        windows = before or of_device * devices
        accumulation *= max(USUAL // windows, 1)
    else:
        of_device = options.batch_size
        windows = before or of_device * devices
    parts = math.ceil(windows / (of_device * devices)) if options.batch_tokens is None else 1
    at_once = math.ceil(windows / (parts * devices))
    is_short = demand.bytes(at_once, checkpointing=False) > room
    recomputes = {"on": True, "off": False, "auto": is_short}[options.gradient_checkpointing]
    return BatchPlan(windows, accumulation, recomputes, parts)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is torch's report that a device, or the host, is out of memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None
    )


def free_bytes(device: torch.device) -> int:
    """Memory that a training may take on a device; on a CPU, of the container where there is one."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(_free_of_host(), _free_of_container())


def _free_of_host() -> int:
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", _MEMINFO.read_text())
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _free_of_container() -> int:
    try:
        limit, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return int(limit) - int(used)
    except (OSError, ValueError):  # no container, or one without a limit
        return 2**63


_MOMENT_BYTES = 8  # of a parameter, in AdamW


def try_batches(
    model: Any, longest: Example, pad_token_id: int, device: torch.device, dtype: torch.dtype
) -> Callable[[int], bool]:
    """Build a test of whether a training step with so many windows fits beside the optimizer's moments.

    Random numbers are drawn as if nothing had been tried.

    Args:
        model: moved to the device, and left without gradients.
        longest: the window that a batch is made of.
        pad_token_id: of its tokenizer.
        device: an accelerator.
        dtype: arithmetic of the forward pass.
    """
    model.to(device)
    collate = Collator(pad_token_id)
    moments = _MOMENT_BYTES * sum(one.numel() for one in model.parameters() if one.requires_grad)

    def fits(windows: int) -> bool:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            try:
                _step(model, collate, [longest] * windows, device, dtype, moments)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                return False
            finally:
                model.zero_grad(set_to_none=True)
                if device.type == "cuda":
                    torch.cuda.empty_cache()
        return True

    return fits


def _step(  # noqa: PLR0913, PLR0917 - what a step has
    model: Any,
    collate: Collator,
    examples: Sequence[Example],
    device: torch.device,
    dtype: torch.dtype,
    reserved_bytes: int,
) -> None:
    reserve = torch.empty(reserved_bytes, dtype=torch.uint8, device=device)
    batch = {name: tensor.to(device) for name, tensor in collate(examples).items()}
    model.train()
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32):
        loss = model(**batch).loss
    loss.backward()
    del reserve
