"""The models of tool answers; short, since every word costs an assistant context."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from pydantic import Field, model_serializer

from layoutlm_cli.mcp_server.bounds import AnswerLimits, Lean, fit
from run_analysis.active_runs import ActiveRun
from run_analysis.advice.proposal import Advice
from run_analysis.comparison.compare_groups import GroupComparison
from run_analysis.comparison.compare_runs import RunComparison
from run_analysis.findings.finding import Finding
from run_analysis.job_records import ExportFacts, FailureFacts, StatusFacts
from run_analysis.runs import RunSummary
from run_analysis.summary import LabelScore
from run_records.epoch_record import EpochFacts
from run_records.lenient_model import LenientModel

_SUMMED_UP = (
    "job_id",
    "name",
    "status",
    "created_at",
    "attempt",
    "best_f1",
    "best_f1_interval",
    "best_epoch",
    "epochs_trained",
    "early_stopping_triggered",
    "train_runtime",
    "cost_usd",
    "num_labels",
    "train_receipts",
    "metrics_comparable",
    "val_receipts_hash",
    "tags",
    "error_message",
)
LAST = (
    "recorded_at",
    "eval_f1",
    "eval_f1_constrained",
    "eval_precision",
    "eval_recall",
    "eval_loss",
    "train_loss",
    "learning_rate",
    "samples_per_second",
)
"""Fields of the last evaluation that are shown of an active run."""
_SUMMARY = AnswerLimits(text=160, entries=12)
"""Characters of a value from outside that a summary shows."""
_LINE = 200
"""Characters of a log line or a message of a run that is under way, of which the last ones are shown."""
_LINES = 3


class Answer(LenientModel):
    """An answer: what is not known is left out, numbers have six digits, and its length has a bound.

    Attributes:
        rest: how to get what the bound has cut off.
    """

    rest: ClassVar[str] = "Ask for less at a time."

    more: str | None = Field(None, description="What is not shown, and how to get it; absent: all is shown.")
    records_left_out: str | None = Field(
        None, description="Items of the table that are no whole records; nothing of them is in the answer."
    )

    @model_serializer(mode="plain")
    def _fit(self) -> dict[str, Any]:
        return fit(self, self.rest)


class HistoryAnswer(Answer):
    """Runs, the newest first."""

    rest: ClassVar[str] = "run_detail shows a run whole."

    runs: tuple[RunSummary, ...] = Field(
        description="Summaries: `config` names only the hyperparameters that are not at their defaults, and "
        "long values are shortened. run_detail shows a run whole."
    )
    cursor: str | None = Field(None, description="Pass it as `before` for the next page; absent at the end.")


class RunAnswer(Answer):
    """One run."""

    rest: ClassVar[str] = "Ask for fewer `metrics`, or for few epochs with `from_epoch` and `to_epoch`."

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

    rest: ClassVar[str] = "run_detail shows a run whole."

    read_at: str = Field(description="When, UTC.")
    runs: tuple[ActiveRun, ...] = Field(
        description="Summaries: `epochs` holds the last evaluation alone, and long values are shortened. "
        "`seconds_left` is an estimate."
    )


class RunsAnswer(Answer):
    """Runs side by side."""

    rest: ClassVar[str] = "Compare fewer runs, or ask run_detail for one."

    comparison: RunComparison


class GroupsAnswer(Answer):
    """Groups of runs; each shows its best runs, `scores.n` counts all."""

    rest: ClassVar[str] = "compare_runs puts single runs side by side."

    comparison: GroupComparison
    pairs_left_out: int = 0


class DiagnosisAnswer(Answer):
    """The faults that a run's metrics are evidence of, the worst first."""

    rest: ClassVar[str] = "`layoutlm-cli findings JOB --json` shows all."

    job_id: str
    name: str
    status: str
    evaluations: int = Field(description="How many evaluations the diagnosis rests on.")
    findings: tuple[Finding, ...] = Field((), description="Absent: no fault has evidence.")


class AdviceAnswer(Answer):
    """The next run; `before` and `after` of a change are null where the option is left out."""

    rest: ClassVar[str] = "`layoutlm-cli advise --json` shows all."

    advice: Advice


class WrongWord(LenientModel):
    """A word with another tag than the true one."""

    text: str
    gold: str
    predicted: str
    confidence: float


class FailingReceipt(LenientModel):
    """A validation receipt that the best checkpoint reads badly."""

    key: str
    merchant: str | None = None
    seen: bool | None = Field(None, description="Whether training has receipts of this merchant.")
    f1: float | None = None
    wrong_words: int = Field(description="All of them; `words` shows the first.")
    words: tuple[WrongWord, ...] = ()


class FailingAnswer(Answer):
    """The receipts that the best checkpoint does worst on."""

    rest: ClassVar[str] = "Ask for fewer `words`."

    job_id: str
    name: str
    checkpoint: str | None = Field(None, description="Absent: the run has no predictions (yet).")
    epoch: float | None = None
    receipts: tuple[FailingReceipt, ...] = ()
    receipts_left_out: int = 0


def brief(run: RunSummary, config: Mapping[str, Any]) -> RunSummary:
    """A run with this configuration, and without the list of tags, which `num_labels` counts."""
    return run.model_copy(update={"label_list": (), "config": dict(config)})


class Summary(NamedTuple):
    """A run as a list of runs shows it, and whether values of it are shortened."""

    run: RunSummary
    is_shortened: bool


def sum_up(run: RunSummary, config: Mapping[str, Any]) -> Summary:
    """The fields that distinguish runs, with this configuration; long values are shortened."""
    lean = Lean(_SUMMARY)
    plain = {name: value if _is_plain(value) else json.dumps(value) for name, value in config.items()}
    given = {name: getattr(run, name) for name in _SUMMED_UP} | {"config": plain}
    return Summary(
        RunSummary(**{name: lean.of(value, name) for name, value in given.items()}), bool(lean.cuts)
    )


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def sum_up_live(live: ActiveRun, config: Mapping[str, Any]) -> ActiveRun:
    """As `sum_up`, of a run that is under way, with its last evaluation and short lines of its log."""
    where, line = live.where, AnswerLimits(text=_LINE, entries=_SUMMARY.entries)
    return live.model_copy(
        update={
            "run": sum_up(live.run, config).run,
            "where": where and type(where)(**Lean(line).of(where)),
            "epochs": tuple(pick(one, LAST) for one in live.epochs[-1:]),
            "logs": tuple(type(one)(**Lean(line).of(one)) for one in live.logs[-_LINES:]),
        }
    )


def pick(epoch: EpochFacts, metrics: Sequence[str]) -> EpochFacts:
    """An evaluation with these metrics alone."""
    return EpochFacts(
        epoch=epoch.epoch,
        global_step=epoch.global_step,
        **{name: getattr(epoch, name) for name in metrics},
    )
