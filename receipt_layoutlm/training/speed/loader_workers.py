"""Processes that prepare batches: whether this host can start them, and how their batches come back."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from receipt_layoutlm.data.examples import Example

log = logging.getLogger(__name__)

_START_SECONDS = 60


class PipedBatch(dict[str, Tensor]):
    """Tensors that go through a pipe from one process to another.

    torch would put each into a file of /dev/shm. Containers often have 64 MB of it, and a worker that finds
    it full loses the batch without a word to the training, which waits for it for ever.
    """

    def __reduce__(self) -> Any:
        return _rebuild, ({name: tensor.numpy() for name, tensor in self.items()},)


@dataclass(frozen=True, slots=True)
class PipedCollator:
    """A collator whose batches leave a worker by its pipe; without workers it changes nothing."""

    collate: Callable[[Sequence[Example]], dict[str, Tensor]]

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """The batch of the collator."""
        batch = self.collate(examples)
        return batch if get_worker_info() is None else PipedBatch(batch)


def startable_workers(asked: int) -> int:
    """The number of workers asked for, or 0 where this host cannot start processes that talk to this one.

    Their queues use semaphores, which are in /dev/shm, too.
    """
    if not asked:
        return 0
    try:
        _start_one()
    except OSError as error:
        log.warning(
            "dataloader_workers is %d, and this host cannot start them (%s); batches are prepared in the "
            "training's own process. Give the container a larger /dev/shm (docker run --shm-size) and enough "
            "processes, or leave dataloader_workers out.",
            asked,
            error,
        )
        return 0
    return asked


def _start_one() -> None:
    queue: Any = multiprocessing.Queue()
    try:
        process = multiprocessing.Process(target=queue.cancel_join_thread, daemon=True)
        process.start()
        process.join(_START_SECONDS)
    finally:
        queue.close()
        queue.join_thread()


def _rebuild(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
