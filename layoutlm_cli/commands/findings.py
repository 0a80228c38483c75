"""`findings JOB`: faults of a run, with their evidence and remedies."""

from __future__ import annotations

from typing import Annotated

import typer


def findings(
    job: Annotated[str, typer.Argument(help="Id or name of a training.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Show the faults of a run that its metrics are evidence of, the worst first."""
    from pydantic_core import to_json  # noqa: PLC0415

    from layoutlm_cli.console import printable, table  # noqa: PLC0415
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from run_analysis.findings.find import detect_findings  # noqa: PLC0415
    from run_analysis.run import read_run  # noqa: PLC0415
    from run_analysis.runs import list_runs  # noqa: PLC0415

    records = open_clients()
    run = read_run(records.client, records.storage, job)
    found = detect_findings(run, list_runs(records.client, statuses=("succeeded",)).runs)
    if as_json:
        typer.echo(to_json(found, indent=2).decode())
        return
    if not found:
        typer.echo(
            printable(f"{run.run.name}: nothing in its {len(run.epochs)} evaluations speaks of a fault")
        )
        return
    rows = [
        (one.kind, one.severity, one.says, "\n".join(map(str, one.evidence)), one.remedy) for one in found
    ]
    table(run.run.name, ("fault", "severity", "what", "evidence", "what to do"), rows)
