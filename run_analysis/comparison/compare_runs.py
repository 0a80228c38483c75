"""Compares two or more runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pydantic import Field

from receipt_dynamo.entities.field_types import JobState
from run_analysis.comparison.setting_differences import Setting, compare_settings, settings_of
from run_analysis.comparison.validation_sets import by_validation, describe_ranking
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary
from run_records.errors import ConfigurationError
from run_records.lenient_model import LenientModel
from run_records.scores import Interval

_LEAST = 2


class ComparedRun(LenientModel):
    """One run as a column. Scores are of its best evaluation, ratios; what was not recorded is None.

    Attributes:
        validation: what says on which receipts it was scored.
        per_label_f1: label to F1 of that evaluation.
        train_runtime: seconds over all attempts.
        dataset_hash: of all receipts that it read.
        train_receipts, val_receipts: how many it learned from, and was scored on.
    """

    job_id: str
    name: str
    status: JobState
    validation: str | None = None
    best_f1: float | None = None
    best_f1_interval: Interval | None = None
    best_f1_constrained: float | None = None
    best_f1_strict: float | None = None
    precision: float | None = None
    recall: float | None = None
    per_label_f1: dict[str, float] = Field(default_factory=dict)
    best_epoch: float | None = None
    epochs_trained: float | None = None
    early_stopping_triggered: bool | None = None
    train_runtime: float | None = None
    samples_per_second: float | None = None
    cost_usd: float | None = None
    dataset_hash: str | None = None
    train_receipts: int | None = None
    val_receipts: int | None = None
    labels: tuple[str, ...] = ()
    attempts: int | None = None


class Place(LenientModel):
    """A run's place in a ranking; equal scores share one."""

    place: int
    job_id: str
    name: str
    best_f1: float


class Ranking(LenientModel):
    """Runs by their best F1; `validation` is None where several sets of receipts were asked to be mixed."""

    validation: str | None
    places: tuple[Place, ...]


class RunComparison(LenientModel):
    """Runs side by side.

    Attributes:
        runs: one column each, in the order they were named.
        differing: the settings that are not the same in all of them.
        equal_settings: how many are.
        labels: every label that one of them was scored on.
        rankings: one for each set of validation receipts that several ended runs share.
        notes: what to know before drawing a conclusion, in plain words.
    """

    runs: tuple[ComparedRun, ...]
    differing: tuple[Setting, ...]
    equal_settings: int
    labels: tuple[str, ...]
    rankings: tuple[Ranking, ...]
    notes: tuple[str, ...]


def compare_runs(runs: Sequence[RunDetail], *, across_splits: bool = False) -> RunComparison:
    """Put runs side by side, and rank those that were scored on the same validation receipts.

    Args:
        runs: at least two.
        across_splits: rank all of them together, whatever they were scored on.

    Raises:
        ConfigurationError: there are fewer than two runs.
    """
    if len({run.run.job_id for run in runs}) < _LEAST:
        raise ConfigurationError("A comparison takes at least two runs. Name another one.")
    columns = tuple(map(_describe, runs))
    differing, equal = compare_settings([settings_of(run.config) for run in runs])
    ended = [run.run for run in runs if run.run.status == "succeeded" and run.run.best_f1 is not None]
    rankings = _rank_all(ended, across_splits=across_splits)
    return RunComparison(
        runs=columns,
        differing=differing,
        equal_settings=equal,
        labels=tuple(sorted({label for one in columns for label in one.per_label_f1})),
        rankings=rankings,
        notes=(
            *describe_ranking(ended, across_splits=across_splits),
            *_note_unranked(columns, ended),
            *_note_differences(columns),
            *_note_overlaps(rankings, columns),
        ),
    )


def _describe(detail: RunDetail) -> ComparedRun:
    run, best, counts = detail.run, detail.best, detail.dataset_counts
    recorded: dict[str, Any] = {
        **run.model_dump(),
        "validation": run.validation,
        "labels": detail.labels or run.labels,
        "attempts": detail.attempts,
        "dataset_hash": detail.data_config.get("dataset_hash"),
        "train_receipts": run.train_receipts or counts.get("train_receipts"),
        "val_receipts": detail.num_val_receipts or counts.get("val_receipts"),
    }
    if best is not None:
        recorded |= {
            "best_f1_strict": best.eval_f1_strict,
            "precision": best.eval_precision,
            "recall": best.eval_recall,
            "per_label_f1": {name: scores.f1 for name, scores in best.per_label_metrics.items()},
        }
        # A run that is under way has no results yet; these are the best so far.
        so_far = {"best_f1": best.eval_f1, "best_f1_interval": best.eval_f1_interval}
        so_far |= {"best_f1_constrained": best.eval_f1_constrained, "best_epoch": best.epoch}
        so_far |= {"samples_per_second": best.samples_per_second}
        recorded |= {name: value for name, value in so_far.items() if recorded[name] is None}
    return ComparedRun.lenient(recorded)


def _rank_all(runs: Sequence[RunSummary], *, across_splits: bool) -> tuple[Ranking, ...]:
    sets = by_validation(runs)
    if across_splits and len(sets) > 1:
        return (_rank(None, runs),)
    return tuple(
        _rank(validation, same)
        for validation, same in sets.items()
        if len(same) >= _LEAST and (validation is not None or across_splits)
    )


def _rank(validation: str | None, runs: Sequence[RunSummary]) -> Ranking:
    scored = sorted(((run.best_f1 or 0.0, run) for run in runs), key=lambda one: one[0], reverse=True)
    scores = [score for score, _ in scored]
    return Ranking(
        validation=validation,
        places=tuple(
            Place(place=scores.index(score) + 1, job_id=run.job_id, name=run.name, best_f1=score)
            for score, run in scored
        ),
    )


def _note_unranked(columns: Sequence[ComparedRun], ranked: Sequence[RunSummary]) -> list[str]:
    ended = {run.job_id for run in ranked}
    return [
        f"{one.name} is {one.status}: "
        + ("it has no score" if one.best_f1 is None else "what is shown is its best so far")
        + ", and it is not ranked."
        for one in columns
        if one.job_id not in ended
    ]


def _note_differences(columns: Sequence[ComparedRun]) -> list[str]:
    said = []
    if len({frozenset(one.labels) for one in columns if one.labels}) > 1:
        said.append("The runs learn different labels, so that their F1 does not measure the same.")
    if len({one.dataset_hash for one in columns if one.dataset_hash}) > 1:
        said.append("The runs read different data: a difference may come from the data.")
    return said


def _note_overlaps(rankings: Sequence[Ranking], columns: Sequence[ComparedRun]) -> list[str]:
    """Note neighbours in a ranking whose order the validation receipts do not decide."""
    intervals = {one.job_id: one.best_f1_interval for one in columns}
    said = []
    for ranking in rankings:
        for better, worse in pairwise(ranking.places):
            upper, lower = intervals[better.job_id], intervals[worse.job_id]
            tied = better.place == worse.place
            if upper and lower and not tied and upper.low <= lower.high:
                said.append(
                    f"The intervals of {better.name} and {worse.name} overlap: their order may be chance. "
                    "Repeat both with several seeds, and compare them as groups."
                )
    return said
