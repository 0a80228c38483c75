"""`mcp`."""

from __future__ import annotations

from typing import Annotated

import typer


def mcp(
    allow_submit: Annotated[
        bool, typer.Option("--allow-submit", help="Let the assistant start trainings, which cost money.")
    ] = False,
) -> None:
    """Serve runs, comparisons, faults and advice to an AI assistant by the Model Context Protocol on stdio.

    The assistant starts this command itself; standard output carries the protocol and nothing else.
    """
    from layoutlm_cli.open_clients import open_clients  # noqa: PLC0415
    from workers.errors import SettingsError  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    try:
        from layoutlm_cli.mcp_server.server import make_server  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"The MCP server needs {error.name}. Install the extra: pip install 'receipt-layoutlm[mcp]'."
        ) from error
    settings = Settings.from_environ()
    if allow_submit:
        settings.require("bucket", "train_job_queue_url")
    make_server(open_clients(), settings, allow_submit=allow_submit).run("stdio")
