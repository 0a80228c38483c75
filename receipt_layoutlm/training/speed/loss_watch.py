"""Detects a loss that is NaN or has exploded."""

from __future__ import annotations

import math
import statistics
from collections import deque

_WINDOW = 100
_LEAST = 50
_TIMES = 10.0
_GUESSES = 4.0


class LossWatch:
    """Judges the loss of each batch.

    It has exploded when, after the warm-up and 50 batches, it is ten times the median of the last 100, and
    four times what guessing all tags alike would lose. The second keeps a hard batch late in a training,
    where the median is near zero, from being taken for an end.

    Args:
        tags: that the model tells apart.
        warmup_steps: optimisation steps of rising learning rate, which are not judged.
    """

    def __init__(self, tags: int, warmup_steps: int) -> None:
        self._floor = _GUESSES * math.log(tags)
        self._warmup_steps = warmup_steps
        self._losses: deque[float] = deque(maxlen=_WINDOW)

    def fault(self, loss: float, step: int) -> str | None:
        """The fault of a batch's mean loss (nats) at a step, as a clause; None where there is none."""
        if not math.isfinite(loss):
            return f"The loss is {loss}"
        median = statistics.median(self._losses) if len(self._losses) >= _LEAST else math.inf
        self._losses.append(loss)
        if step > self._warmup_steps and loss > max(_TIMES * median, self._floor):
            return f"The loss has grown from {median:.3g} to {loss:.3g}"
        return None
