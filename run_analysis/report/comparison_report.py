"""The comparison page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from run_analysis.comparison.compare_runs import ComparedRun, RunComparison, compare_runs
from run_analysis.comparison.setting_differences import text_of
from run_analysis.report.charts import overlay
from run_analysis.report.formatting import NOT_KNOWN, anything, dollars, number, score, seconds
from run_analysis.report.page import render
from run_analysis.report.tables import Table
from run_analysis.run import RunDetail

_OVERLAID = {
    "eval_f1": "F1",
    "eval_f1_constrained": "F1, BIO allowed",
    "eval_loss": "validation loss (nats)",
    "train_loss": "training loss (nats)",
    "learning_rate": "learning rate",
}
_ID_DIGITS = 8


def build_comparison(runs: Sequence[RunDetail], *, across_splits: bool = False) -> str:
    """One HTML file about several runs, about 1 MB, that needs no network.

    Args:
        runs: at least two.
        across_splits: rank all of them together, whatever they were scored on.

    Raises:
        ConfigurationError: there are fewer than two runs.
    """
    found = compare_runs(runs, across_splits=across_splits)
    names = _names(found)
    curves = {name: run.epochs for name, run in zip(names, runs, strict=True)}
    return render(
        "comparison.html",
        names=names,
        found=found,
        charts={field: (title, overlay(curves, field, title)) for field, title in _OVERLAID.items()},
        results=_results(found, names),
        settings=_settings(found, names),
        labels=_labels(found, names),
        curves=[_curve(runs, names, field, title) for field, title in _OVERLAID.items()],
        rankings=[_ranking(found, at) for at in range(len(found.rankings))],
    )


def _names(found: RunComparison) -> tuple[str, ...]:
    """The names of the runs; where two have the same, with the beginning of the id."""
    names = [run.name for run in found.runs]
    return tuple(
        run.name if names.count(run.name) == 1 else f"{run.name} {run.job_id[:_ID_DIGITS]}"
        for run in found.runs
    )


def _results(found: RunComparison, names: tuple[str, ...]) -> Table:
    rows = tuple((what, *map(show, found.runs)) for what, show in _RESULTS.items())
    known = tuple(row for row in rows if set(row[1:]) != {NOT_KNOWN})
    return Table("Results at the best epoch", ("what", *names), known)


def _settings(found: RunComparison, names: tuple[str, ...]) -> Table:
    rows = tuple((one.option, *map(text_of, one.values)) for one in found.differing)
    caption = f"Settings that differ; {found.equal_settings} are equal"
    return Table(caption, ("setting", *names), rows, numbers_from=len(names) + 1)


def _curve(runs: Sequence[RunDetail], names: tuple[str, ...], field: str, title: str) -> Table:
    """The numbers of one chart: a row for each epoch that one of the runs was evaluated at."""
    by_epoch = [{one.epoch: getattr(one, field) for one in run.epochs} for run in runs]
    epochs = sorted({epoch for one in by_epoch for epoch, value in one.items() if value is not None})
    rows = tuple((number(epoch), *(number(one.get(epoch)) for one in by_epoch)) for epoch in epochs)
    return Table(f"{title[0].upper()}{title[1:]} by epoch", ("epoch", *names), rows, numbers_from=0)


def _labels(found: RunComparison, names: tuple[str, ...]) -> Table:
    rows = tuple(
        (label, *(score(run.per_label_f1.get(label)) for run in found.runs)) for label in found.labels
    )
    return Table("F1 of each label at the best epoch", ("label", *names), rows)


def _ranking(found: RunComparison, at: int) -> Table:
    ranking = found.rankings[at]
    rows = tuple((one.name, number(one.place), score(one.best_f1)) for one in ranking.places)
    scored_on = f"validation receipts {ranking.validation}" if ranking.validation else "different receipts"
    return Table(f"Ranking, scored on {scored_on}", ("run", "place", "best F1"), rows)


def _interval(run: ComparedRun) -> str:
    bounds = run.best_f1_interval
    return NOT_KNOWN if bounds is None else f"{bounds.low:.3f} to {bounds.high:.3f}"


_RESULTS: Mapping[str, Callable[[ComparedRun], str]] = {
    "status": lambda run: run.status,
    "best F1": lambda run: score(run.best_f1),
    "95 % interval": _interval,
    "F1, BIO allowed": lambda run: score(run.best_f1_constrained),
    "precision": lambda run: score(run.precision),
    "recall": lambda run: score(run.recall),
    "best epoch": lambda run: number(run.best_epoch),
    "epochs": lambda run: number(run.epochs_trained),
    "stopped early": lambda run: anything(run.early_stopping_triggered),
    "training": lambda run: seconds(run.train_runtime),
    "windows per second": lambda run: number(run.samples_per_second),
    "cost": lambda run: dollars(run.cost_usd),
    "data set": lambda run: anything(run.dataset_hash),
    "receipts to learn from": lambda run: number(run.train_receipts),
    "receipts scored on": lambda run: number(run.val_receipts),
    "validation receipts": lambda run: anything(run.validation),
    "attempts": lambda run: number(run.attempts),
}
