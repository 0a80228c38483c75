"""`advise`: the next run, with the reason of each change and what to expect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from layoutlm_cli.open_clients import Clients
    from run_analysis.advice.proposal import Advice
    from run_analysis.dataset_statistics import DatasetStatistics
    from run_analysis.run import RunDetail
    from run_analysis.runs import RunSummary


def advise(
    job: Annotated[
        str | None, typer.Option(help="Id or name of the training to start from; the newest that succeeded.")
    ] = None,
    target_f1: Annotated[
        float | None, typer.Option(min=0, max=1, help="Say how many receipts this entity F1 takes.")
    ] = None,
    faster: Annotated[bool, typer.Option(help="Also change what only makes it faster.")] = False,
    with_data: Annotated[
        bool, typer.Option(help="Count the labels of all receipts first; reads the whole table.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the advice as JSON.")] = False,
) -> None:
    """Propose the next run: options with reasons, the command, the message, and what to expect."""
    from pydantic_core import to_json  # noqa: PLC0415

    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from run_analysis.advice.advise import advise as propose  # noqa: PLC0415
    from run_analysis.advice.proposal import Machine  # noqa: PLC0415
    from run_analysis.runs import RECENT, list_runs  # noqa: PLC0415

    records = open_clients()
    history = list_runs(records.client, limit=RECENT).runs
    run = _read(records, history, job)
    machine = Machine.lenient(run.machine) if run and run.machine else None
    statistics = _count(records) if with_data else None
    advice = propose(run, history, statistics, machine, target_f1=target_f1, faster=faster)
    if as_json:
        typer.echo(to_json(advice, indent=2).decode())
    else:
        _show(advice)


def _read(records: Clients, history: tuple[RunSummary, ...], job: str | None) -> RunDetail | None:
    from run_analysis.run import read_run  # noqa: PLC0415

    chosen = job or next((one.job_id for one in history if one.status == "succeeded"), None)
    return read_run(records.client, records.storage, chosen) if chosen else None


def _count(records: Clients) -> DatasetStatistics:
    from layoutlm_cli.console import errors  # noqa: PLC0415
    from receipt_layoutlm.data.statistics import read_statistics  # noqa: PLC0415

    with errors.status("counting") as status:
        return read_statistics(records.client, lambda done, all_: status.update(f"{done} of {all_} images"))


def _show(advice: Advice) -> None:
    from pydantic_core import to_json  # noqa: PLC0415

    from layoutlm_cli.console import printable, table  # noqa: PLC0415

    if advice.changes:
        rows = [
            (one.option, _value(one.before), _value(one.after), one.reason, one.rests_on)
            for one in advice.changes
        ]
        table(
            f"{advice.job_name}, after {advice.based_on or 'no run'}",
            ("option", "before", "now", "why", "rests on"),
            rows,
        )
    for text in (*advice.notes, advice.expectation.says):
        typer.echo(printable(text))
    typer.echo(f"\nby hand:\n{printable(advice.command)}")
    typer.echo(f"\nby queue:\n{printable(to_json(advice.message).decode())}")


def _value(value: Any) -> str | None:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else None if value is None else str(value)
