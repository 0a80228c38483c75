"""`import sroie`: real receipts into the table."""

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
    """Import the receipts of the ICDAR 2019 SROIE challenge, its labels found by aligning four fields."""
