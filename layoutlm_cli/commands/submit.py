"""`submit train|export`: check a request, send it, and show it as pending."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from layoutlm_cli.training_options import TrainingCommand, request, training_options

app = typer.Typer(help="Send a request to a worker's queue, checked before it is sent.", no_args_is_help=True)


def train(job_name: str, options: dict[str, str]) -> None:
    """Ask the train workers for a run."""
    import uuid  # noqa: PLC0415

    from pydantic_core import to_json  # noqa: PLC0415

    from messages.codec import decode_train_job  # noqa: PLC0415
    from workers.jobs.submit import submit_training  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    job = decode_train_job(to_json(request(job_name, options)), message_id=str(uuid.uuid4()))
    message_id = asyncio.run(submit_training(Settings.from_environ(), job))
    typer.echo(f"sent {job.job_name}: job {job.job_id}, message {message_id}")
    typer.echo(f"follow it with: layoutlm-cli status {job.job_name}")


app.command("train", cls=TrainingCommand)(training_options(train))


@app.command("export")
def export(
    job: Annotated[str, typer.Argument(help="Id or name of the training.")],
    quantize: Annotated[str, typer.Option(help="float16, int8, int4, or float32.")] = "float16",
    shapes: Annotated[
        str,
        typer.Option(help="Token counts it takes: range (1..512), fixed:N, or enum:64,128,256,512 (iOS 18)."),
    ] = "range",
    model_s3_uri: Annotated[
        str | None, typer.Option(help="Checkpoint folder; the training's best one when left out.")
    ] = None,
    output_s3_prefix: Annotated[
        str | None, typer.Option(help="Bundle folder; coreml/<name>/ when left out.")
    ] = None,
) -> None:
    """Ask the export workers for a CoreML bundle."""
    from workers.jobs.submit import submit_export  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    sent = asyncio.run(
        submit_export(
            Settings.from_environ(),
            job,
            quantize=quantize,
            shapes=shapes,
            model_s3_uri=model_s3_uri,
            prefix=output_s3_prefix,
        )
    )
    typer.echo(f"sent export {sent.export_id} of {sent.model_s3_uri}")
