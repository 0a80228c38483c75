"""Writes receipts to the table with progress."""

from __future__ import annotations

from collections.abc import Iterable

import typer
from rich.progress import Progress

from layoutlm_cli.console import errors
from receipt_dynamo.client import DynamoClient
from receipt_layoutlm.data.receipt_draft import DraftReceipt
from receipt_layoutlm.data.table_writer import write_records
from workers.settings import Settings


def store(drafts: Iterable[DraftReceipt], total: int) -> None:
    """Write the drafts; the table is the one that the settings name."""
    settings = Settings.from_environ()
    settings.require("table_name")
    client = DynamoClient(
        str(settings.table_name), region=settings.region, endpoint_url=settings.endpoint_url
    )
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("receipts into the table", total=total)
        counts = write_records(client, drafts, lambda done: bar.update(task, completed=done))
    written = ", ".join(
        f"{count} {kind.lower().replace('_', ' ')}s" for kind, count in sorted(counts.items())
    )
    typer.echo(f"wrote {written} to {settings.table_name}", err=True)
