"""`train-worker` and `export-worker`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer

Once = Annotated[
    bool,
    typer.Option(
        "--once/--continuous", help="Take one message (or find none) and end; or go on until stopped."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log what the children write, too.")]


def train_worker(once: Once = False, verbose: Verbose = False) -> None:
    """Take train jobs from their queue until stopped."""
    _run("train", once=once, verbose=verbose)


def export_worker(once: Once = False, verbose: Verbose = False) -> None:
    """Take CoreML export jobs from their queue until stopped."""
    _run("export", once=once, verbose=verbose)


def _run(kind: Literal["train", "export"], *, once: bool, verbose: bool) -> None:
    from workers.daemon import report_end, run_daemon  # noqa: PLC0415
    from workers.errors import SettingsError  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415
    from workers.telemetry.logs import configure_logging  # noqa: PLC0415

    configure_logging(verbose=verbose)
    try:
        settings = Settings.from_environ()
    except SettingsError as error:
        raise typer.Exit(report_end(error)) from error
    configure_logging(verbose=verbose, metrics_of=kind if settings.metrics == "emf" else None)
    raise typer.Exit(asyncio.run(run_daemon(kind, settings, once=once)))
