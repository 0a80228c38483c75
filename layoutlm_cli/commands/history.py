"""`history`: every run with its settings, results and cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layoutlm_cli.commands.jobs import Status

if TYPE_CHECKING:
    from run_analysis.run import RunHistory


def history(
    status: Annotated[Status | None, typer.Option(help="Only runs of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="Every run, whatever --limit says.")] = False,
    before: Annotated[
        str | None, typer.Option(help="Go on after a former page: the cursor that it ended with.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON for machines, with configuration and every evaluation.")
    ] = False,
) -> None:
    """List trainings, newest first: scores, epochs, attempts, time, cost, and whether they can be ranked."""
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from run_analysis.run import RunHistory, read_history  # noqa: PLC0415
    from run_analysis.runs import ALL_STATES, list_runs  # noqa: PLC0415

    client, storage = open_clients()
    statuses = (status,) if status else ALL_STATES
    wanted = None if everything else limit
    if as_json:
        found = read_history(client, storage, statuses=statuses, limit=wanted, cursor=before)
        typer.echo(found.model_dump_json(indent=2))
        return
    page = list_runs(client, statuses=statuses, limit=wanted, cursor=before)
    _show([RunHistory(run=run) for run in page.runs])
    if page.cursor:
        typer.echo(f"more with: layoutlm-cli history --before '{page.cursor}'")


def _show(runs: Iterable[RunHistory]) -> None:
    from layoutlm_cli.console import score, table  # noqa: PLC0415

    rows = [
        (
            one.run.name,
            one.run.status,
            score(one.run.best_f1),
            _epochs(one.run),
            one.run.attempt,
            one.run.train_receipts,
            one.run.train_runtime and f"{one.run.train_runtime / 60:.1f}",
            None if one.run.cost_usd is None else f"{one.run.cost_usd:.2f}",
            {True: "yes", False: "no", None: None}[one.run.metrics_comparable],
            one.run.created_at[:19],
        )
        for one in runs
    ]
    columns = (
        "run",
        "status",
        "best F1",
        "best / epochs",
        "attempts",
        "receipts",
        "minutes",
        "USD",
        "pinned",
    )
    table(f"{len(rows)} runs", (*columns, "created"), rows)


def _epochs(run: Any) -> str | None:
    if run.best_epoch is None:
        return None
    trained = "?" if run.epochs_trained is None else f"{run.epochs_trained:g}"
    early = ", stopped early" if run.early_stopping_triggered else ""
    return f"{run.best_epoch:g} / {trained}{early}"
