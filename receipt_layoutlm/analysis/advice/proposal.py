"""What an advice says."""

from __future__ import annotations

from typing import Any, Literal

from run_records.lenient_model import Fact
from run_records.scores import Bounds

RestsOn = Literal["this run", "earlier runs", "the data", "general practice"]


class Change(Fact):
    """One option that the next run sets otherwise than this one; None is to leave it out."""

    option: str
    before: Any
    after: Any
    reason: str
    rests_on: RestsOn


class Machine(Fact):
    """Where the next run trains; bytes of the accelerator, and of the host where there is none."""

    device: str = "cpu"
    gpu_name: str | None = None
    gpu_memory_bytes: int | None = None
    memory_bytes: int | None = None

    @property
    def capacity(self) -> int | None:
        """Bytes that a training has for itself, where that is known."""
        return self.gpu_memory_bytes if self.device == "cuda" else self.memory_bytes


class Expectation(Fact):
    """What more receipts are worth, by the runs so far.

    Attributes:
        says: the same in words, or why nothing can be told.
        runs, sizes: how many runs it rests on, and how many different numbers of training receipts.
        receipts, f1, f1_interval: what so many training receipts give, with bounds of 95 % of resamples.
        target_f1, receipts_needed, needed_interval: how many a target takes, and the bounds of that; None is
            out of reach.
    """

    says: str
    runs: int = 0
    sizes: int = 0
    receipts: int | None = None
    f1: float | None = None
    f1_interval: Bounds | None = None
    target_f1: float | None = None
    receipts_needed: int | None = None
    needed_interval: tuple[int | None, int | None] | None = None


class Advice(Fact):
    """The next run.

    Attributes:
        job_name: a name that no known run has.
        based_on: the run that the changes start from; None where there is none yet.
        changes: what is different from it.
        command: trains it by hand.
        message: body for the queue of training jobs.
        expectation: what can be expected of more receipts.
        notes: what else to do, or to know.
    """

    job_name: str
    based_on: str | None
    changes: tuple[Change, ...]
    command: str
    message: dict[str, Any]
    expectation: Expectation
    notes: tuple[str, ...] = ()
