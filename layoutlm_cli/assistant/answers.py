"""The answers that assistants read: no more than was asked for, since every word of one costs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field, model_serializer

from receipt_layoutlm.analysis.advice.proposal import Advice
from receipt_layoutlm.analysis.comparison.groups import GroupComparison
from receipt_layoutlm.analysis.comparison.runs import RunComparison
from receipt_layoutlm.analysis.context import LabelScore
from receipt_layoutlm.analysis.epochs import EpochFacts
from receipt_layoutlm.analysis.findings.finding import Finding
from receipt_layoutlm.analysis.live import LiveRun
from receipt_layoutlm.analysis.parts import ExportFacts, FailureFacts, StatusFacts
from receipt_layoutlm.analysis.runs import Fact, RunSummary

_DIGITS = 6


class Answer(Fact):
    """An answer: what is not known is left out, and numbers have six digits."""

    @model_serializer(mode="plain")
    def _leave_out_unknown(self) -> dict[str, Any]:
        lean: dict[str, Any] = _lean(self)
        return lean


class HistoryAnswer(Answer):
    """Runs, the newest first."""

    runs: tuple[RunSummary, ...] = Field(
        description="`config` names only the hyperparameters that are not at their defaults."
    )
    cursor: str | None = Field(None, description="Pass it as `before` for the next page; absent at the end.")


class RunAnswer(Answer):
    """One run."""

    run: RunSummary = Field(
        description="`config` has the usual hyperparameters, and all that are not at their defaults."
    )
    best: EpochFacts | None = Field(
        None, description="The evaluation of the best checkpoint, the scores of its labels aside."
    )
    labels: tuple[LabelScore, ...] = Field(
        (), description="Each label at that evaluation, the lowest F1 first; without true entities last."
    )
    evaluations: int = Field(description="How many evaluations the run has.")
    epochs: tuple[EpochFacts, ...] = Field(
        (), description="The evaluations in the range that was asked for, with the metrics asked for."
    )
    evaluations_left_out: int = Field(
        0, description="Evaluations in the range that are not shown; ask for a smaller range to see them."
    )
    num_val_receipts: int | None = Field(None, description="Receipts that it was scored on.")
    dataset_counts: dict[str, Any] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    label_merges: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    statuses: tuple[StatusFacts, ...] = ()
    failures: tuple[FailureFacts, ...] = ()
    exports: tuple[ExportFacts, ...] = ()


class LiveAnswer(Answer):
    """Runs that have not ended, the newest first."""

    read_at: str = Field(description="When, UTC.")
    runs: tuple[LiveRun, ...] = Field(
        description="`epochs` holds the last evaluation alone, `seconds_left` is an estimate."
    )


class RunsAnswer(Answer):
    """Runs side by side."""

    comparison: RunComparison


class GroupsAnswer(Answer):
    """Groups of runs; each shows its best runs, `scores.n` counts all."""

    comparison: GroupComparison
    pairs_left_out: int = 0


class DiagnosisAnswer(Answer):
    """The faults that a run's metrics are evidence of, the worst first."""

    job_id: str
    name: str
    status: str
    evaluations: int = Field(description="How many evaluations the diagnosis rests on.")
    findings: tuple[Finding, ...] = Field((), description="Absent: no fault has evidence.")


class AdviceAnswer(Answer):
    """The next run; `before` and `after` of a change are null where the option is left out."""

    advice: Advice


class WrongWord(Fact):
    """A word with another tag than the true one."""

    text: str
    gold: str
    predicted: str
    confidence: float


class FailingReceipt(Fact):
    """A validation receipt that the best checkpoint reads badly."""

    key: str
    merchant: str | None = None
    seen: bool | None = Field(None, description="Whether training has receipts of this merchant.")
    f1: float | None = None
    wrong_words: int = Field(description="All of them; `words` shows the first.")
    words: tuple[WrongWord, ...] = ()


class FailingAnswer(Answer):
    """The receipts that the best checkpoint does worst on."""

    job_id: str
    name: str
    checkpoint: str | None = Field(None, description="Absent: the run has no predictions (yet).")
    epoch: float | None = None
    receipts: tuple[FailingReceipt, ...] = ()
    receipts_left_out: int = 0


def brief(run: RunSummary, config: Mapping[str, Any]) -> RunSummary:
    """A summary with this configuration, and without the list of tags, which `num_labels` counts."""
    return run.model_copy(update={"label_list": (), "config": dict(config)})


def pick(epoch: EpochFacts, metrics: Sequence[str]) -> EpochFacts:
    """An evaluation with these metrics alone."""
    return EpochFacts(
        epoch=epoch.epoch,
        global_step=epoch.global_step,
        **{name: getattr(epoch, name) for name in metrics},
    )


def _lean(value: Any) -> Any:
    if isinstance(value, BaseModel):
        shown = ((name, field, getattr(value, name)) for name, field in type(value).model_fields.items())
        return {
            name: _lean(one) for name, field, one in shown if field.is_required() or one not in (None, (), {})
        }
    if isinstance(value, Mapping):
        return {name: _lean(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_lean(one) for one in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
