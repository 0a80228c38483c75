"""Distributed training: this process's rank, and the values that all processes agree on.

Each computes its share of every batch. A batch is what the request says, however many share it, so a run
learns the same on one GPU as on eight, and any host goes on from any other's checkpoint.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from receipt_layoutlm.training.launch import RENDEZVOUS
from run_records.job_process.child_main import StopRequested

# The others wait while the first one loads receipts and scores epochs. Who is gone is noticed by its end, and
# who is stuck by the daemon.
_PATIENCE = timedelta(days=1)
_BY_VARIABLES = "env://"

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: its number; 0 is the first one, which records and saves.
        count: how many they are.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    @contextmanager
    def joined(cls) -> Iterator[Ranks]:
        """Meet the others that the environment names, in torchrun's variables; alone where it names none."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            yield cls()
            return
        ranks = cls(int(os.environ["RANK"]), count)
        has_gpu = torch.cuda.is_available()
        if has_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group(
            # Numbers and objects that are agreed on stay on the CPU, where they are.
            "cpu:gloo,cuda:nccl" if has_gpu else "gloo",
            init_method=os.environ.get(RENDEZVOUS, _BY_VARIABLES),
            rank=ranks.rank,
            world_size=count,
            timeout=_PATIENCE,
        )
        if not ranks.is_first:
            logging.getLogger().setLevel(logging.WARNING)  # they would say all again
        yield ranks
        # Not after an error: the others may be waiting, and this one must not wait with them.
        dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this process records and saves."""
        return self.rank == 0

    def folder(self, parent: Path) -> Path:
        """The folder of this process's files."""
        folder = parent if self.is_first else parent / f"rank-{self.rank}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def share(self, batch: Sequence[I]) -> list[I]:
        """This process's part of a batch; of one sorted by length, parts of nearly equal work.

        The parts of all processes are the batch. One is empty where there are too few windows.
        """
        return list(batch[self.rank :: self.count])

    def mean(self, number: float) -> float:
        """The mean of a number over all processes, which all call this; not finite if one is not."""
        if self.count == 1:
            return number
        total = torch.tensor(number, dtype=torch.float64)
        dist.all_reduce(total)
        return float(total) / self.count

    def from_first(self, make: Callable[[], T]) -> T:
        """Make a value in the first process and return it in all; the others wait for it."""
        if self.count == 1:
            return make()
        box = [make() if self.is_first else None]
        # Between processes of one run that trust each other already; nothing from outside is read so.
        dist.broadcast_object_list(box, device=torch.device("cpu"))
        return box[0]  # type: ignore[return-value]  # the first one has filled it

    def require_same(self, what: str, value: Any) -> None:
        """Make sure that all processes have the same.

        Raises:
            RuntimeError: they do not; another attempt may see what it reads settled.
        """
        if self.count == 1:
            return
        found = [None] * self.count
        dist.all_gather_object(found, value)
        if any(one != found[0] for one in found):
            raise RuntimeError(f"The {self.count} processes of this training differ in {what}: {found}.")


class AgreedStop(StopRequested):
    """A stop that all processes see after the same step, whichever was asked to stop."""

    def __init__(self, asked: StopRequested, ranks: Ranks) -> None:
        super().__init__()
        self._asked = asked
        self._ranks = ranks
        self._is_agreed = False

    def agree(self) -> None:
        """Look whether any process was asked to stop; all call this."""
        self._is_agreed = self._ranks.mean(float(bool(self._asked))) > 0

    def __bool__(self) -> bool:
        return self._is_agreed


class AgreeCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Lets the processes agree on a stop after each step, before any callback reads it."""

    def __init__(self, stop: AgreedStop) -> None:
        self._stop = stop

    def on_step_end(
        self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """A step is done everywhere."""
        self._stop.agree()


def save_random_state(path: Path) -> None:
    """Write this process's random numbers as a Trainer that trains alone does, so that one can go on."""
    states = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002 - the generator that the Trainer keeps
        "cpu": torch.random.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.random.get_rng_state()
    torch.save(states, path)
