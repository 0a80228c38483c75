"""The evaluations of a run so far, and what follows from them: which is best, and whether to go on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RunningLoss:
    """The training loss since the last evaluation, kept over interruptions.

    The Trainer keeps one too, but begins anew wherever it continues.
    """

    total: float = 0.0
    steps: int = 0

    @property
    def mean(self) -> float:
        """Mean over the optimisation steps so far, in nats."""
        return self.total / max(self.steps, 1)

    def reset(self) -> None:
        """The model has been evaluated."""
        self.total, self.steps = 0.0, 0
