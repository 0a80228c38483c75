"""`monitor`: the runs that are under way, all of them at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from run_analysis.active_runs import ActiveRun


def monitor(
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 50,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON for machines, with the last log lines.")
    ] = False,
) -> None:
    """Show runs that are pending, running or interrupted: epoch, scores, pace, time left, who has them."""
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from run_analysis.active_runs import ActiveRuns, list_active_runs  # noqa: PLC0415

    found = list_active_runs(open_clients().client, limit)
    if as_json:
        typer.echo(ActiveRuns(runs=found).model_dump_json(indent=2))
        return
    _show(found)


def _show(runs: tuple[ActiveRun, ...]) -> None:
    from layoutlm_cli.console import score, size, table  # noqa: PLC0415

    rows = []
    for one in runs:
        last = one.last
        memory = last and (last.gpu_memory_used or last.memory_used)
        rows.append(
            (
                one.run.name,
                one.run.status,
                where(one),
                score(last.eval_f1) if last else None,
                last and last.train_loss and f"{last.train_loss:.4f}",
                last and last.learning_rate and f"{last.learning_rate:.2e}",
                last and last.samples_per_second and f"{last.samples_per_second:.1f}",
                memory and size(memory),
                duration(one.seconds_left),
                one.attempt,
                one.worker,
            )
        )
    columns = ("run", "status", "where", "F1", "loss", "rate", "samples/s", "memory", "left")
    table(f"{len(rows)} runs under way", (*columns, "attempt", "worker"), rows)


def where(run: ActiveRun) -> str | None:
    """What a run is at: stage, epoch, step."""
    now, asked = run.where, run.epochs_asked or "?"
    if now is None:
        return f"epoch {run.last.epoch:g} of {asked}" if run.last else None
    if now.epoch is None:
        return f"{now.stage} {now.message}".strip()
    steps = f", step {now.step} of {now.total_steps}" if now.step is not None else ""
    return f"{now.stage}, epoch {now.epoch:.1f} of {asked}{steps}"


def duration(seconds: float | None) -> str | None:
    """Seconds as people say them: `2 h 5 min`, `3 min`, `40 s`."""
    if seconds is None:
        return None
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"
