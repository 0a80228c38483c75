"""`local up`: an AWS on this machine, in the foreground."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from layoutlm_cli.leaving import leave_by_signal

app = typer.Typer(help="A local AWS: table, bucket and queues on 127.0.0.1.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `up` a command of its own, whatever joins it."""


@app.command("up")
def up(
    seed_receipts: Annotated[
        int | None, typer.Option(min=1, help="Put this many synthetic receipts into the table.")
    ] = None,
    imported: Annotated[
        tuple[str, Path] | None,
        typer.Option(
            "--import", metavar="sroie PATH", help="Import receipts; sroie is the one format so far."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 5555,
) -> None:
    """Run a local AWS until Ctrl-C, SIGINT or SIGTERM, and print the variables that reach it.

    All in it is gone at its end. Until then objects of more than 256 kB lie in temporary files (TMPDIR says
    where), all else in memory.
    """
    from workers.errors import WorkerError  # noqa: PLC0415
    from workers.local_aws.local_stack import LocalStack, MotoServer  # noqa: PLC0415

    if imported and imported[0] != "sroie":
        raise typer.BadParameter(f"{imported[0]!r} is not a format; use --import sroie PATH")
    leave_by_signal()
    with suppress(KeyboardInterrupt), MotoServer(port) as emulator:
        stack = LocalStack.make(emulator)
        os.environ.update(stack.environ)
        if seed_receipts:
            from layoutlm_cli.commands.generate import generate  # noqa: PLC0415

            generate(receipts=seed_receipts, seed=0)
        if imported:
            from layoutlm_cli.commands.import_receipts import sroie  # noqa: PLC0415

            sroie(imported[1])
        for name, value in stack.environ.items():
            typer.echo(f"export {name}={value}")
        typer.echo("# ready: paste these lines into another terminal; Ctrl-C here ends it", err=True)
        emulator.wait()
        raise WorkerError("The local AWS has ended by itself. Start it again; what was in it is gone.")
    typer.echo("# ended", err=True)
