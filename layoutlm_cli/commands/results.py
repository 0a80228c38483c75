"""`results`: the messages of the results queues."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer


def results(
    kind: Annotated[Literal["train", "export"], typer.Argument(help="Which results queue.")],
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave them in the queue, which gives each 5 receives in all.")
    ] = False,
    wait: Annotated[int, typer.Option(min=0, max=20, help="Seconds to wait for the first one.")] = 2,
) -> None:
    """Read a results queue, one JSON line a result; what was printed is taken off unless told to keep it."""
    from workers.operator.results import read_results  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    async def show() -> int:
        count = 0
        async for body in read_results(Settings.from_environ(), kind, keep=keep, wait_seconds=wait):
            typer.echo(body)
            count += 1
        return count

    if not asyncio.run(show()):
        typer.echo("no results waiting", err=True)
