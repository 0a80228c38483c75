"""`cancel JOB`: request the end of a training or an export, whether it runs or waits."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer


def cancel(job: Annotated[str, typer.Argument(help="Id or name of a job, or id of an export.")]) -> None:
    """Cancel a job or an export: a running one within a heartbeat, one that no worker holds at once."""
    from workers.operator.cancel import ask_to_cancel  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    typer.echo(asyncio.run(ask_to_cancel(Settings.from_environ(), job)))
