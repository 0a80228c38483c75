"""What an advice starts from: the run, its faults, the runs before it, the data and the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.analysis.advice.proposal import Change, Machine, RestsOn
from receipt_layoutlm.analysis.dataset import DatasetStatistics
from receipt_layoutlm.analysis.findings.case import Case
from receipt_layoutlm.analysis.findings.find import find_faults
from receipt_layoutlm.analysis.findings.finding import Finding, Kind
from receipt_layoutlm.analysis.findings.options import read_options
from receipt_layoutlm.analysis.run import RunDetail
from receipt_layoutlm.analysis.runs import RunSummary


@dataclass(frozen=True)
class Situation:
    """Attributes as `advise` takes them; `run` is None before the first one."""

    run: RunDetail | None
    history: Sequence[RunSummary]
    statistics: DatasetStatistics | None
    machine: Machine | None
    faster: bool = False

    @cached_property
    def options(self) -> Hyperparameters:
        """What the run was asked for, or the defaults; what this version does not know is passed over."""
        return read_options(self.run.config if self.run else {})

    @cached_property
    def case(self) -> Case | None:
        """The run under examination."""
        return Case(self.run, self.history) if self.run else None

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """The faults of the run."""
        return find_faults(self.run, self.history) if self.run else ()

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

    def finding(self, kind: Kind) -> Finding | None:
        """The first fault of a kind."""
        return next((one for one in self.findings if one.kind == kind), None)

    def change(self, option: str, after: Any, reason: str, rests_on: RestsOn) -> Change:
        """A change of an option from what the run had."""
        return Change(
            option=option,
            before=getattr(self.options, option),
            after=after,
            reason=reason,
            rests_on=rests_on,
        )
