"""`train-worker` and `export-worker`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer

from layoutlm_cli.setting_options import DynamoTable, Region, apply_settings

Once = Annotated[
    bool,
    typer.Option(
        "--once/--continuous", help="Take one message (or find none) and end; or go on until stopped."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log what the children write, too.")]


JobQueueUrl = Annotated[
    str | None,
    typer.Option("--job-queue-url", metavar="URL", help="The queue of jobs; else the variable's."),
]
ResultsQueueUrl = Annotated[
    str | None,
    typer.Option("--results-queue-url", metavar="URL", help="The queue of results; else the variable's."),
]


def train_worker(  # noqa: PLR0913, PLR0917 - each is one option of the command
    once: Once = False,
    verbose: Verbose = False,
    job_queue_url: JobQueueUrl = None,
    results_queue_url: ResultsQueueUrl = None,
    dynamo_table: DynamoTable = None,
    region: Region = None,
) -> None:
    """Take train jobs from their queue until stopped."""
    urls = {"TRAIN_JOB_QUEUE_URL": job_queue_url, "TRAIN_RESULTS_QUEUE_URL": results_queue_url}
    apply_settings({"dynamo_table": dynamo_table, "region": region, **urls})
    _run("train", once=once, verbose=verbose)


def export_worker(  # noqa: PLR0913, PLR0917 - each is one option of the command
    once: Once = False,
    verbose: Verbose = False,
    job_queue_url: JobQueueUrl = None,
    results_queue_url: ResultsQueueUrl = None,
    dynamo_table: DynamoTable = None,
    region: Region = None,
) -> None:
    """Take CoreML export jobs from their queue until stopped."""
    urls = {
        "COREML_EXPORT_JOB_QUEUE_URL": job_queue_url,
        "COREML_EXPORT_RESULTS_QUEUE_URL": results_queue_url,
    }
    apply_settings({"dynamo_table": dynamo_table, "region": region, **urls})
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
