"""Text and JSON summaries of history and data set for people and assistants."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from run_analysis.active_runs import ActiveRun
from run_analysis.comparison.setting_differences import changed_options
from run_analysis.comparison.validation_sets import by_validation
from run_analysis.dataset_statistics import DatasetStatistics
from run_analysis.findings.label_faults import LEAST_WORDS, count_words
from run_analysis.findings.run_context import RunContext
from run_analysis.markdown import escape, table
from run_analysis.run import History, RunDetail, RunHistory
from run_analysis.runs import RunSummary
from run_records.lenient_model import LenientModel

_MERCHANTS = 20


class BestRun(LenientModel):
    """The best of the runs that were scored on the same validation receipts."""

    job_id: str
    name: str
    best_f1: float
    validation: str
    runs: int = Field(description="Succeeded runs that were scored on these receipts.")


class HistoryContext(LenientModel):
    """The history.

    Attributes:
        read_at: when, UTC.
        best: one for each set of validation receipts, the set of most runs first.
        runs: the newest first, with every evaluation; the confusions, which are large, are in `run.json`.
    """

    read_at: str
    runs_by_status: dict[str, int]
    best: tuple[BestRun, ...] = ()
    runs: tuple[RunHistory, ...] = ()


class LiveContext(LenientModel):
    """The runs that have not ended, the newest first."""

    read_at: str
    runs: tuple[ActiveRun, ...] = ()


class DatasetContext(LenientModel):
    """The data set."""

    read_at: str = Field(description="When the table was read, UTC.")
    labels_scarce: tuple[str, ...] = Field(
        (),
        description=f"Labels of fewer than {LEAST_WORDS} words, too few to be learned, the rarest first.",
    )
    labels_absent: tuple[str, ...] = Field((), description="Core labels that no word carries.")
    statistics: DatasetStatistics


class LabelScore(LenientModel):
    """A label at a run's best evaluation."""

    label: str
    f1: float
    precision: float
    recall: float
    support: int = Field(description="True entities among the validation receipts.")
    train_words: int | None = Field(None, description="Words that training learned it from.")


def sum_up_history(history: History, read_at: str) -> HistoryContext:
    """Count the runs, and name the best of those that can be ranked together."""
    runs = [one.run for one in history.runs]
    ended = [run for run in runs if run.status == "succeeded" and run.best_f1 is not None]
    return HistoryContext(
        read_at=read_at,
        runs_by_status=dict(Counter(run.status for run in runs)),
        best=tuple(
            _best_of(validation, same) for validation, same in by_validation(ended).items() if validation
        ),
        runs=tuple(map(_without_confusion, history.runs)),
    )


def sum_up_dataset(statistics: DatasetStatistics, read_at: str) -> DatasetContext:
    """Name the labels that training has too few words of."""
    present = sorted((one for one in statistics.labels if one.words), key=lambda one: one.words)
    return DatasetContext(
        read_at=read_at,
        labels_scarce=tuple(one.label for one in present if one.words < LEAST_WORDS),
        labels_absent=tuple(one.label for one in statistics.labels if not one.words),
        statistics=statistics,
    )


def score_labels(run: RunDetail) -> tuple[LabelScore, ...]:
    """Scores of each label at the best evaluation, the lowest F1 first; labels without a true entity last."""
    if run.best is None:
        return ()
    words = count_words(RunContext(run))
    scored = [
        LabelScore(label=name, train_words=words.get(name), **scores.model_dump())
        for name, scores in run.best.per_label_metrics.items()
    ]
    # Without an entity to find, F1 is 0 whatever is learned.
    return tuple(sorted(scored, key=lambda one: (not one.support, one.f1)))


def render_history(context: HistoryContext) -> str:
    """The history as Markdown: which run is best, a table of all, and how their settings differ."""
    counts = ", ".join(f"{count} {status}" for status, count in context.runs_by_status.items()) or "none"
    parts = ["# Training history", f"Read at {context.read_at} (UTC). Runs: {counts}."]
    if context.best:
        parts += [
            "## Best runs",
            "Only scores on the same validation receipts can be ranked together.",
            table(
                ("run", "best F1", "validation receipts", "runs on them"),
                ((_code(one.name), one.best_f1, _code(one.validation), one.runs) for one in context.best),
            ),
            *(_render_labels(one, context.runs) for one in context.best[:1]),
        ]
    parts += ["## Runs, the newest first", _render_runs(context.runs)]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_dataset(context: DatasetContext) -> str:
    """The data set as Markdown: totals, labels, what they need, the largest merchants."""
    found = context.statistics
    totals = (
        ("images", found.images),
        ("receipts", found.receipts),
        ("receipts with a valid label", found.receipts_labelled),
        ("words", found.words),
        ("words with a valid label", found.words_labelled),
        ("merchants", found.merchants_known),
        ("words with several valid labels", found.words_in_conflict),
    )
    labels = (
        (_code(one.label), one.words, one.entities, one.receipts, one.merchants, f"{one.share:.1%}")
        for one in found.labels
    )
    merchants = (
        (escape(one.merchant), one.receipts, one.labelled_words) for one in found.merchants[:_MERCHANTS]
    )
    columns = ("label", "words", "entities", "receipts", "merchants", "share of labelled words")
    parts = (
        "# Data set",
        f"Read at {context.read_at} (UTC).",
        table(("what", "count"), totals),
        "## Labels that training learns",
        f"Fewer than {LEAST_WORDS} words, the rarest first: {_names(context.labels_scarce)}.",
        f"No word at all: {_names(context.labels_absent)}.",
        table(columns, labels),
        f"## The largest merchants, {_MERCHANTS} at most",
        table(("merchant", "receipts", "labelled words"), merchants),
    )
    return "\n\n".join(parts) + "\n"


def _without_confusion(one: RunHistory) -> RunHistory:
    epochs = tuple(epoch.model_copy(update={"confusion": {}}) for epoch in one.epochs)
    return one.model_copy(update={"epochs": epochs})


def _best_of(validation: str, runs: Sequence[RunSummary]) -> BestRun:
    best = max(runs, key=lambda run: run.best_f1 or 0.0)
    return BestRun(
        job_id=best.job_id,
        name=best.name,
        best_f1=best.best_f1 or 0.0,
        validation=validation,
        runs=len(runs),
    )


def _render_runs(runs: Sequence[RunHistory]) -> str:
    rows = (
        (
            _code(run.name),
            run.status,
            run.best_f1,
            run.best_epoch and f"{run.best_epoch:g}",
            run.epochs_trained and f"{run.epochs_trained:g}",
            run.early_stopping_triggered,
            run.train_runtime and f"{run.train_runtime / 60:.1f}",
            None if run.cost_usd is None else f"{run.cost_usd:.2f}",
            run.validation and _code(run.validation),
            run.created_at[:19],
            _write_options(run.config),
            run.error_message and escape(run.error_message),
        )
        for run in (one.run for one in runs)
    )
    scores = ("run", "status", "best F1", "best epoch", "epochs", "stopped early", "minutes", "USD")
    rest = ("validation receipts", "created, UTC", "options that are not the default", "error")
    return table((*scores, *rest), rows)


def _render_labels(best: BestRun, runs: Sequence[RunHistory]) -> str:
    """Labels of the best run at its best evaluation, the lowest F1 first."""
    [found] = [one for one in runs if one.run.job_id == best.job_id]
    run = found.run
    at_best = [
        epoch
        for epoch in found.epochs
        if (epoch.epoch == run.best_epoch if run.best_step is None else epoch.global_step == run.best_step)
    ]
    if not at_best:
        return ""
    labels = sorted(at_best[0].per_label_metrics.items(), key=lambda one: one[1].f1)
    rows = ((_code(name), one.f1, one.precision, one.recall, one.support) for name, one in labels)
    shown = table(("label", "F1", "precision", "recall", "entities"), rows)
    return f"Labels of {_code(best.name)} at epoch {at_best[0].epoch:g}:\n\n{shown}"


def _write_options(config: Mapping[str, Any]) -> str | None:
    changed = changed_options(config).items()
    return ", ".join(_code(f"{name} {json.dumps(value, default=str)}") for name, value in changed) or None


def _code(text: str) -> str:
    """A name as code: it has underscores, and may have been given by others."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`"


def _names(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "none"
