"""`watch JOB`: one run in the terminal while it trains; ends with its result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from run_analysis.active_runs import ActiveRun


ENDED = {"succeeded": 0, "failed": 65, "cancelled": 130}
"""Exit code by final status."""
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60


def watch(
    job: Annotated[str, typer.Argument(help="Id or name of the training.")],
    seconds: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Follow a run: progress of the epoch, curves of F1 and loss, last log lines; ends when the run ends.

    Exit code 0: succeeded; 65: failed; 130: cancelled.
    """
    from rich.live import Live  # noqa: PLC0415

    from layoutlm_cli.console import console, printable  # noqa: PLC0415
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from run_analysis.active_runs import read_active_run  # noqa: PLC0415

    client = open_clients().client
    job_id = client.find_job(job).job_id
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as shown:
        while True:
            now = read_active_run(client, client.get_job(job_id))
            shown.update(_draw(now), refresh=True)
            if now.run.status in ENDED:
                break
            time.sleep(seconds)
    run = now.run
    if run.status == "succeeded":
        typer.echo(f"{run.name} succeeded: best F1 {run.best_f1} at epoch {run.best_epoch:g}")
        typer.echo(f"best checkpoint: {run.best_checkpoint_s3_path}")
    else:
        typer.echo(printable(f"{run.name} {run.status}: {run.error_message or 'no reason is recorded'}"))
    raise typer.Exit(ENDED[run.status])


def _draw(live: ActiveRun) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from layoutlm_cli.commands.monitor import duration, where  # noqa: PLC0415
    from layoutlm_cli.console import printable  # noqa: PLC0415

    head = f"{live.run.name}  {live.run.status}  attempt {live.attempt or '-'}  {live.worker or 'no worker'}"
    left = duration(live.seconds_left)
    lines: list[Any] = [
        Text(printable(head), style="bold"),
        Text(printable(" · ".join(filter(None, (where(live), left and f"about {left} left"))) or "waiting")),
        *_progress(live),
        *_curves(live),
        *(Text(printable(f"{line.at[11:19]} {line.message[:200]}"), style="dim") for line in live.logs),
    ]
    return Group(*lines)


def _progress(live: ActiveRun) -> list[Any]:
    """Two bars: of the epoch that is under way, and of all epochs that were asked for."""
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    done, asked = live.epochs_done, live.epochs_asked
    if done is None or not asked:
        return []
    bars = Progress(TextColumn("{task.description}"), BarColumn(40), TextColumn("{task.percentage:>3.0f} %"))
    current = min(int(done), asked - 1)
    bars.add_task(f"epoch {current + 1}", completed=round(100 * (done - current)))
    bars.add_task(f"all {asked}", completed=round(100 * done / asked))
    return [bars]


def _curves(live: ActiveRun) -> list[Any]:
    from rich.text import Text  # noqa: PLC0415

    rows = []
    for name, field in (("F1", "eval_f1"), ("eval loss", "eval_loss"), ("train loss", "train_loss")):
        values = [value for epoch in live.epochs if (value := getattr(epoch, field)) is not None]
        if values:
            best = max(values) if field == "eval_f1" else min(values)
            rows.append(Text(f"{name:<10} {sparkline(values)} {values[-1]:.4f} (best {best:.4f})"))
    return rows


def sparkline(values: Sequence[float]) -> str:
    """The last values as bars between their least and their greatest."""
    shown = values[-_WIDTH:]
    low, top = min(shown), len(_BARS) - 1
    span = max(shown) - low or 1.0
    return "".join(_BARS[round((value - low) / span * top)] for value in shown)
