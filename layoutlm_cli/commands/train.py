"""`train`: one local run, with the same record, metrics and checkpoints as a worker's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from layoutlm_cli.training_options import request, training_options

if TYPE_CHECKING:
    from receipt_dynamo.entities import JobLease
    from workers.operator.run_local import HandRun


_CODES = {"succeeded": 0, "failed": 65, "cancelled": 130, None: 75}
"""Exit code by outcome; None of a job that the same command goes on with."""


def _train(job_name: str, options: dict[str, str]) -> None:
    """Train one model in this process, or go on with the training that was interrupted under this name.

    Exit code 0: succeeded; 65: failed; 75: interrupted, and the same command goes on; 130: cancelled.
    """
    import uuid  # noqa: PLC0415

    from pydantic_core import to_json  # noqa: PLC0415

    from layoutlm_cli.console import warn_of_unknown_settings  # noqa: PLC0415
    from messages.codec import decode_train_job  # noqa: PLC0415
    from workers.operator.run_local import train_or_go_on  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415
    from workers.telemetry.logs import configure_logging  # noqa: PLC0415

    configure_logging()
    warn_of_unknown_settings()
    job = decode_train_job(to_json(request(job_name, options)), message_id=str(uuid.uuid4()))
    run = asyncio.run(
        train_or_go_on(Settings.from_environ(), job, as_before=not options, goes_on=_say_what_goes_on)
    )
    if run.outcome == "succeeded":
        _say_success(run)
    elif run.outcome is None:
        _say_interruption(run)
    else:
        _say_loss(run)
    raise typer.Exit(_CODES[run.outcome])


def _say_what_goes_on(lease: JobLease) -> None:
    typer.echo(f"goes on with job {lease.owner_id}: attempt {lease.attempt + 1}", err=True)


def _say_success(run: HandRun) -> None:
    results = run.record.results if run.record else {}
    typer.echo(f"{run.job.job_name} succeeded: best F1 {results.get('best_f1')}")
    if results.get("metrics_comparable") is False:
        typer.echo(f"cannot be compared with other runs: {results.get('comparability_reason')}")
    typer.echo(f"best checkpoint: {results.get('best_checkpoint_s3_path')}")


def _say_interruption(run: HandRun) -> None:
    name = run.job.job_name
    typer.echo(f"kept: {_kept(run) or 'nothing yet; it begins anew'}", err=True)
    typer.echo(f"go on with: layoutlm-cli train {name}", err=True)
    typer.echo(f"give it up with: layoutlm-cli cancel {run.job.job_id}", err=True)
    _say_last(f"{name} is interrupted: {run.why}")


def _say_loss(run: HandRun) -> None:
    kept = _kept(run)
    if kept:
        typer.echo(f"kept: {kept}; another job goes on from it with --resume-from-s3", err=True)
    _say_last(f"error: {run.job.job_name} {run.outcome}: {run.why}")


def _say_last(text: str) -> None:
    """Print one line, whatever the text holds: the last line is the reason."""
    from layoutlm_cli.console import printable  # noqa: PLC0415

    typer.echo(printable(" ".join(text.split())), err=True)


def _kept(run: HandRun) -> str | None:
    one = run.checkpoint
    return (
        None if one is None else f"s3://{one.s3_bucket}/{one.s3_key} (step {one.step}, epoch {one.epoch:g})"
    )


train = training_options(_train)
