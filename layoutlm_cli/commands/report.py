"""`report JOB`: one HTML file with everything that a run recorded, in charts, tables and drawn receipts."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer


def report(
    job: Annotated[str, typer.Argument(help="Id or name of a training.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; by default report-NAME.html.")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write it to S3 as well, beside the run's run.json.")
    ] = False,
) -> None:
    """Write a run's report as one HTML file that needs no network: scores, faults, receipts, settings."""
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from layoutlm_cli.writing import write_whole  # noqa: PLC0415
    from run_analysis.report.build import report_of, write_report  # noqa: PLC0415
    from run_analysis.run import read_run  # noqa: PLC0415

    client, storage = open_clients()
    detail = read_run(client, storage, job)
    page = report_of(storage, detail)
    path = out or Path(f"report-{detail.run.name}.html")
    write_whole(path, page)
    typer.echo(f"wrote {path}")
    if publish:
        typer.echo(f"wrote {write_report(storage, detail, page)}")
    if open_it and not webbrowser.open(path.absolute().as_uri()):
        typer.echo(f"No browser could be opened; open {path} yourself.", err=True)
