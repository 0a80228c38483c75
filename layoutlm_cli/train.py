"""`train`: one run by hand, with the same record, metrics and checkpoints as a worker's."""

from __future__ import annotations

import asyncio

import typer

from layoutlm_cli.options import request, training_options

_GOOD = {"DONE", "ALREADY_SUCCEEDED"}
_EX_FAILED = 65


def _train(job_name: str, options: dict[str, str]) -> None:
    """Train one model here and now."""
    import uuid  # noqa: PLC0415

    from pydantic_core import to_json  # noqa: PLC0415

    from messages.codec import decode_train_job  # noqa: PLC0415
    from workers.byhand import train_by_hand  # noqa: PLC0415
    from workers.logs import configure_logging  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    configure_logging()
    job = decode_train_job(to_json(request(job_name, options)), message_id=str(uuid.uuid4()))
    ending, record = asyncio.run(train_by_hand(Settings.from_environ(), job))
    if ending not in _GOOD:
        typer.echo(f"error: {job_name} ended as {record.status}: {record.error_message or ending}", err=True)
        raise typer.Exit(_EX_FAILED)
    typer.echo(f"{job_name} succeeded: best F1 {record.results.get('best_f1')}")
    if record.results.get("metrics_comparable") is False:
        typer.echo(f"cannot be compared with other runs: {record.results.get('comparability_reason')}")
    typer.echo(f"best checkpoint: {record.results.get('best_checkpoint_s3_path')}")


train = training_options(_train)
