"""The input of an adviser and its output: context, setting changes, expected F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from messages.hyperparameters import Hyperparameters
from run_analysis.dataset_statistics import DatasetStatistics
from run_analysis.findings.find import detect_findings
from run_analysis.findings.finding import Finding, FindingName
from run_analysis.findings.run_context import RunContext, read_options
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary
from run_records.lenient_model import LenientModel
from run_records.scores import Interval

RestsOn = Literal["this run", "earlier runs", "the data", "general practice"]


class SettingChange(LenientModel):
    """One option that the next run sets otherwise than this one; None is to leave it out."""

    option: str
    before: Any
    after: Any
    reason: str
    rests_on: RestsOn


class Machine(LenientModel):
    """Where the next run trains; bytes of the accelerator, and of the host where there is none."""

    device: str = "cpu"
    gpu_name: str | None = None
    gpu_memory_bytes: int | None = None
    memory_bytes: int | None = None

    @property
    def capacity(self) -> int | None:
        """Bytes that a training has for itself, where that is known."""
        return self.gpu_memory_bytes if self.device == "cuda" else self.memory_bytes


class Expectation(LenientModel):
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
    f1_interval: Interval | None = None
    target_f1: float | None = None
    receipts_needed: int | None = None
    needed_interval: tuple[int | None, int | None] | None = None


class Advice(LenientModel):
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
    changes: tuple[SettingChange, ...]
    command: str
    message: dict[str, Any]
    expectation: Expectation
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AdviceContext:
    """Attributes as `advise` takes them; `run` is None before the first one."""

    run: RunDetail | None
    history: Sequence[RunSummary]
    statistics: DatasetStatistics | None
    machine: Machine | None
    faster: bool = False

    @cached_property
    def options(self) -> Hyperparameters:
        """The run's hyperparameters, or the defaults; options unknown to this version are left out."""
        return read_options(self.run.config if self.run else {})

    @cached_property
    def case(self) -> RunContext | None:
        """The run under examination."""
        return RunContext(self.run, self.history) if self.run else None

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """The faults of the run."""
        return detect_findings(self.run, self.history) if self.run else ()

    @cached_property
    def comparable(self) -> tuple[RunSummary, ...]:
        """Runs of the same labels, scored on the same validation receipts, the best first, with itself."""
        run = self.run
        if run is None or run.run.validation is None:
            return ()
        same = [
            other
            for other in self.history
            if other.best_f1 is not None
            and set(other.labels) == set(run.labels)
            and other.validation == run.run.validation
        ]
        return tuple(sorted(same, key=lambda one: -(one.best_f1 or 0.0)))

    def finding(self, kind: FindingName) -> Finding | None:
        """The first fault of a kind."""
        return next((one for one in self.findings if one.kind == kind), None)

    def change(self, option: str, after: Any, reason: str, rests_on: RestsOn) -> SettingChange:
        """A change of an option from what the run had."""
        return SettingChange(
            option=option,
            before=getattr(self.options, option),
            after=after,
            reason=reason,
            rests_on=rests_on,
        )
