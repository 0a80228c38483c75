"""`sweep propose|more|status`: trials over a search space, sent to the workers, and their results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from layoutlm_cli.exit_codes import skipped_said

if TYPE_CHECKING:
    from run_analysis.sweep.study import Sweep
    from run_analysis.sweep.sweep_status import SweepStatus, TrialStatus


app = typer.Typer(
    help="Try settings over a space of them: propose runs, send them, learn from what they scored.",
    no_args_is_help=True,
)

_TRIALS = 10
_LONGEST_REASON = 200
Name = Annotated[str, typer.Argument(help="Name of the sweep; its runs are NAME-001 and so on.")]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL",
        help="Where the sweep is kept: a file, or a database such as sqlite:///sweeps.db; "
        "sweep-NAME.journal in this folder when left out.",
    ),
]
Submit = Annotated[
    bool, typer.Option("--submit", help="Send the runs; without it they are shown, and nothing is kept.")
]


@app.command("propose")
@skipped_said
def propose(  # noqa: PLR0913, PLR0917 - one parameter for each option
    name: Name,
    space: Annotated[
        str,
        typer.Option(
            help='Such as "learning_rate=1e-5:1e-4:log,batch_size=4|8|16", or a JSON file of options.'
        ),
    ],
    method: Annotated[
        Literal["grid", "optuna"], typer.Option(help="Every combination, or what Optuna proposes (TPE).")
    ] = "optuna",
    trials: Annotated[
        int | None,
        typer.Option(min=1, help=f"So many in all; {_TRIALS}, or the whole grid, when left out."),
    ] = None,
    base: Annotated[
        list[str] | None,
        typer.Option(metavar="OPTION=VALUE", help="An option of every run; may be repeated."),
    ] = None,
    seeds: Annotated[
        str, typer.Option(metavar="N,N,…", help="Run each trial once with each seed.", show_default=False)
    ] = "",
    storage: Storage = None,
    submit: Submit = False,
) -> None:
    """Begin a sweep, or go on where this command broke off: nothing is sent twice."""
    from run_analysis.sweep.search_space import grid_of, read_space  # noqa: PLC0415
    from run_analysis.sweep.study import open_sweep  # noqa: PLC0415
    from run_analysis.sweep.sweep_plan import make_plan  # noqa: PLC0415

    numbers = [seed.strip() for seed in seeds.split(",") if seed.strip()]
    plan = make_plan(name, read_space(space), method, _pairs(base or ()), numbers)
    sweep = open_sweep(storage or _file_of(name), plan, keep=submit)
    before = _look(sweep)
    wanted = trials or (_TRIALS if method == "optuna" else len(grid_of(plan.space)))
    sweep.ask(wanted - len(before.trials) + before.count("refused"))
    _send_or_show(sweep, submit=submit)


@app.command("more")
@skipped_said
def more(
    name: Name,
    count: Annotated[int, typer.Argument(min=1, help="So many trials that are not sent yet.")],
    storage: Storage = None,
    submit: Submit = False,
) -> None:
    """Propose further trials with what the ended ones have taught."""
    from run_analysis.sweep.study import load_sweep  # noqa: PLC0415

    sweep = load_sweep(storage or _file_of(name), name, keep=submit)
    before = _look(sweep)
    # Those that a call proposed and could not send count among them.
    sweep.ask(count - before.count("proposed"))
    _send_or_show(sweep, submit=submit)


@app.command("status")
@skipped_said
def status(name: Name, storage: Storage = None) -> None:
    """Tell the sweep what its runs scored, and show it: the best so far, every trial, what counts."""
    from layoutlm_cli.console import printable, score, table  # noqa: PLC0415
    from run_analysis.comparison.setting_differences import text_of  # noqa: PLC0415
    from run_analysis.sweep.study import load_sweep  # noqa: PLC0415

    sweep = load_sweep(storage or _file_of(name), name, keep=True)
    found = _look(sweep)
    columns = ("trial", *found.options, "mean F1", "SD", "runs", "state")
    table(f"{name}: {_counts(found)}", columns, [_row(found, trial) for trial in found.trials])
    if found.importance:
        shares = [(option, f"{share:.2f}") for option, share in found.importance.items()]
        table("what the scores depend on", ("option", "share"), shares)
    if found.best is not None:
        values = ", ".join(f"{option}={text_of(value)}" for option, value in found.best.values.items())
        typer.echo(
            printable(f"best so far: trial {found.best.number}, F1 {score(found.best.score)}: {values}")
        )
    for note in found.notes:
        typer.echo(printable(note))
    if len(sweep.plan.seeds) > 1:
        typer.echo(
            f"hold trials against each other: layoutlm-cli compare --group-by trial --tag sweep={name}"
        )


def _pairs(base: Sequence[str]) -> dict[str, str]:
    if not all("=" in one for one in base):
        raise typer.BadParameter("write OPTION=VALUE", param_hint="--base")
    return dict(one.partition("=")[::2] for one in base)


def _file_of(name: str) -> str:
    return f"sweep-{name}.journal"


def _look(sweep: Sweep) -> SweepStatus:
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from run_analysis.sweep.sweep_status import read_sweep_status  # noqa: PLC0415

    return read_sweep_status(open_clients().client, sweep)


def _send_or_show(sweep: Sweep, *, submit: bool) -> None:
    found = _look(sweep)
    if submit:
        asyncio.run(_send(found.unsent))
        typer.echo(f"sent {len(found.unsent)} runs; see: layoutlm-cli sweep status {found.name}")
    else:
        _show_unsent(found)
    for trial in found.trials:
        if trial.state == "refused":
            typer.echo(f"trial {trial.number} is not sent: {trial.why}", err=True)
    if not found.unsent:
        typer.echo(f"nothing left to send: {_counts(found)}", err=True)


async def _send(jobs: Sequence[Any]) -> None:
    from workers.jobs.submit import submit_training  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    settings = Settings.from_environ()
    for job in jobs:
        await submit_training(settings, job)
        typer.echo(f"sent {job.job_name}: job {job.job_id}")


def _show_unsent(found: SweepStatus) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415
    from run_analysis.comparison.setting_differences import text_of  # noqa: PLC0415

    rows = [
        (job.job_name, *map(text_of, trial.values.values()), job.hyperparameters.seed, job.job_id)
        for trial in found.trials
        for job in trial.unsent
    ]
    table(f"{len(rows)} runs that --submit would send", ("run", *found.options, "seed", "job id"), rows)


def _row(found: SweepStatus, trial: TrialStatus) -> tuple[Any, ...]:
    from layoutlm_cli.console import score  # noqa: PLC0415
    from run_analysis.comparison.setting_differences import text_of  # noqa: PLC0415

    return (
        trial.number,
        *(text_of(trial.values[option]) for option in found.options),
        score(trial.score),
        score(trial.sd),
        ", ".join(f"{run.name} {run.status}" for run in trial.runs) or None,
        trial.state if trial.why is None else shorten(f"{trial.state}: {trial.why}", _LONGEST_REASON),
    )


def _counts(found: SweepStatus) -> str:
    states = dict.fromkeys(trial.state for trial in found.trials)
    return ", ".join(f"{found.count(state)} {state}" for state in states) or "no trials"
