"""`import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Put labelled receipts from elsewhere into the table.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `sroie` a command of its own, whatever joins it."""


@app.command("sroie")
def sroie(path: Annotated[Path, typer.Argument(help="SROIE's receipts, one JSON object a line.")]) -> None:
    """Import the receipts of the ICDAR 2019 SROIE challenge, labelled by aligning its four fields."""
    from layoutlm_cli.write_receipts import store  # noqa: PLC0415
    from receipt_layoutlm.data.importers.field_alignment import import_sroie  # noqa: PLC0415

    drafts, report = import_sroie(path)
    for name in sorted(report.placed | report.missing):
        examples = ", ".join(report.missing_examples.get(name, ())[:3])
        which = f" (such as {examples})" if examples else ""
        typer.echo(f"{name}: placed {report.placed[name]}, not found {report.missing[name]}{which}", err=True)
    store(drafts, len(drafts))
