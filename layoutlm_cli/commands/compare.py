"""`compare`: runs side by side, or groups of runs by a setting or tag, and what can be told from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layoutlm_cli.commands.jobs import Status

if TYPE_CHECKING:
    from run_analysis.comparison.compare_groups import GroupComparison
    from run_analysis.comparison.compare_runs import ComparedRun, RunComparison
    from run_analysis.runs import RunSummary
    from run_records.scores import Interval


_SHOWN_PAIRS = 20
_SHOWN_VALUES = 5
_SHOWN_HASH = 16
_RECENT = 500


def compare(  # noqa: PLR0913, PLR0917 - one parameter for each option
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Ids or names; with --group-by the only runs to group."),
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="OPTION", help="Group runs by this hyperparameter or tag.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Group only runs with this tag; may be repeated."),
    ] = None,
    status: Annotated[
        Status, typer.Option(help="Group runs of this status, where none are named.")
    ] = "succeeded",
    limit: Annotated[
        int, typer.Option(min=1, help="Group so many of the newest at most, where none are named.")
    ] = _RECENT,
    across_splits: Annotated[
        bool, typer.Option("--across-splits", help="Rank or pool scores on different validation receipts.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with the runs' curves, too.")
    ] = None,
) -> None:
    """Compare runs, or groups of runs; only scores on the same validation receipts are ranked."""
    found: RunComparison | GroupComparison
    show: Any = _show_groups if group_by else _show_runs
    if group_by is None and tag:
        raise typer.BadParameter("--tag needs --group-by")
    if group_by and html:
        raise typer.BadParameter("--html shows runs, not groups: leave out --group-by")
    if group_by is None:
        found = _compare_runs(runs or (), html, across_splits=across_splits)
    else:
        chosen = _choose(runs or (), tag or (), status, limit)
        found = _compare_groups(chosen, group_by, across_splits=across_splits)
    typer.echo(found.model_dump_json(indent=2)) if as_json else show(found)


def _compare_runs(names: Sequence[str], html: Path | None, *, across_splits: bool) -> RunComparison:
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from layoutlm_cli.writing import write_whole  # noqa: PLC0415
    from run_analysis.comparison.compare_runs import compare_runs  # noqa: PLC0415
    from run_analysis.run import read_run  # noqa: PLC0415

    client, storage = open_clients()
    # A run may be named by its name and by its id.
    read = (read_run(client, storage, name) for name in names)
    runs = list({run.run.job_id: run for run in read}.values())
    found = compare_runs(runs, across_splits=across_splits)
    if html:
        from run_analysis.report.comparison_report import build_comparison  # noqa: PLC0415

        write_whole(html, build_comparison(runs, across_splits=across_splits))
        typer.echo(f"wrote {html}", err=True)
    return found


def _choose(names: Sequence[str], tags: Sequence[str], status: Status, limit: int) -> list[RunSummary]:
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from run_analysis.runs import find_run, list_runs  # noqa: PLC0415

    if not all("=" in tag for tag in tags):
        raise typer.BadParameter("write NAME=VALUE", param_hint="--tag")
    wanted = dict(tag.partition("=")[::2] for tag in tags)
    client = open_clients().client
    if names:
        found = list({run.job_id: run for run in (find_run(client, name) for name in names)}.values())
        return [run for run in found if wanted.items() <= run.tags.items()]
    # A tag may be on any of them; without one the newest are enough.
    page = list_runs(client, statuses=(status,), limit=None if wanted else limit)
    if page.cursor:
        typer.echo(f"only the {len(page.runs)} newest runs are grouped; --limit takes more", err=True)
    return [run for run in page.runs if wanted.items() <= run.tags.items()][:limit]


def _compare_groups(runs: Sequence[RunSummary], by: str, *, across_splits: bool) -> GroupComparison:
    from run_analysis.comparison.compare_groups import compare_groups  # noqa: PLC0415

    return compare_groups(runs, by, across_splits=across_splits)


def _show_runs(found: RunComparison) -> None:
    from layoutlm_cli.console import printable, score, table  # noqa: PLC0415
    from run_analysis.comparison.setting_differences import text_of  # noqa: PLC0415

    names = [run.name for run in found.runs]
    table(
        f"{len(found.differing)} settings differ, {found.equal_settings} are equal",
        ("option", *names),
        [(one.option, *map(text_of, one.values)) for one in found.differing],
    )
    columns = [_column(run) for run in found.runs]
    table("results", ("", *names), zip(columns[0], *(column.values() for column in columns), strict=True))
    if found.labels:
        by_label = [
            (label, *(score(run.per_label_f1.get(label)) for run in found.runs)) for label in found.labels
        ]
        table("F1 of each label, best evaluation", ("label", *names), by_label)
    for ranking in found.rankings:
        places = [(place.place, place.name, score(place.best_f1)) for place in ranking.places]
        table(f"ranked, validation {ranking.validation or 'mixed'}", ("place", "run", "best F1"), places)
    for note in found.notes:
        typer.echo(printable(note))


def _column(run: ComparedRun) -> dict[str, Any]:
    from layoutlm_cli.console import score  # noqa: PLC0415

    return {
        "status": run.status,
        "best F1": score(run.best_f1),
        "95 %": _between(run.best_f1_interval),
        "F1, constrained": score(run.best_f1_constrained),
        "F1, strict mode": score(run.best_f1_strict),
        "precision": score(run.precision),
        "recall": score(run.recall),
        "best epoch": _number(run.best_epoch),
        "epochs": _number(run.epochs_trained),
        "stopped early": {True: "yes", False: "no", None: None}[run.early_stopping_triggered],
        "training, s": None if run.train_runtime is None else f"{run.train_runtime:.0f}",
        "windows a second": _number(run.samples_per_second),
        "cost, USD": _number(run.cost_usd),
        "data set": run.dataset_hash and run.dataset_hash[:_SHOWN_HASH],
        "receipts to learn from": run.train_receipts,
        "receipts scored on": run.val_receipts,
        "validation": run.validation,
        "attempts": run.attempts,
    }


def _show_groups(found: GroupComparison) -> None:
    from layoutlm_cli.console import printable, score, table  # noqa: PLC0415

    if found.groups:
        described = [
            (
                group.text,
                group.scores.n,
                score(group.scores.mean),
                score(group.scores.sd),
                _between(group.scores.interval),
                group.best.name,
                score(group.best.best_f1),
            )
            for group in found.groups
        ]
        columns = (found.by, "runs", "mean F1", "SD", "95 % of the mean", "best run", "its F1")
        table(f"best F1 by {found.by}", columns, described)
    _show_pairs(found)
    if found.confounders:
        rows = [
            (one.setting, group, _some(values))
            for one in found.confounders
            for group, values in one.values.items()
        ]
        table("what else differs", ("setting", found.by, "values (runs)"), rows)
    for note in found.notes:
        typer.echo(printable(note))


def _show_pairs(found: GroupComparison) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    if not found.pairs:
        return
    rows = [
        (
            f"{pair.higher} - {pair.lower}",
            f"{pair.n[0]}, {pair.n[1]}",
            f"{pair.difference:.4f}",
            _between(pair.interval, 4),
            pair.method,
            _number(pair.p_value),
            _number(pair.p_holm),
            pair.words,
        )
        for pair in found.pairs[:_SHOWN_PAIRS]
    ]
    columns = ("pair", "runs", "difference", "95 %", "test", "p", "p, Holm", "verdict")
    table(f"{len(rows)} of {len(found.pairs)} pairs", columns, rows)


def _some(values: dict[str, int]) -> str:
    shown = [f"{value} ({count})" for value, count in values.items()]
    more = [f"and {len(shown) - _SHOWN_VALUES} more"] if len(shown) > _SHOWN_VALUES else []
    return ", ".join(shown[:_SHOWN_VALUES] + more)


def _between(interval: Interval | None, decimals: int = 3) -> str | None:
    return None if interval is None else f"{interval.low:.{decimals}f} to {interval.high:.{decimals}f}"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
