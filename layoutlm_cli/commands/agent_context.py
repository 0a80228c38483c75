"""`agent-context DIR`: the account as files that an AI assistant can read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def agent_context(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", file_okay=False, help="Directory to write to.", show_default=False),
    ],
) -> None:
    """Write infrastructure, options, training history and data set as JSON and Markdown, with a README.

    Reads the whole table. Writes no credentials, and overwrites only what it has written itself.
    """
    from layoutlm_cli.console import errors  # noqa: PLC0415
    from layoutlm_cli.mcp_server.context_folder import write_folder  # noqa: PLC0415
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    with errors.status("reading runs and receipts"):
        written = write_folder(folder, open_clients(), Settings.from_environ())
    for path in written:
        typer.echo(f"wrote {path}")
