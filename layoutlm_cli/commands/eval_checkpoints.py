"""`eval-checkpoints`: every checkpoint of a run scored on the receipts that the run has held out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from layoutlm_cli.argument_or_option import one_of

if TYPE_CHECKING:
    from run_records.epochs_json import EpochScores, EpochsFile
    from run_records.s3_store import S3Store
    from workers.settings import Settings


def eval_checkpoints(  # noqa: PLR0913, PLR0917 - each is one option of the command
    job: Annotated[
        str | None, typer.Argument(help="Id or name of a training, or s3:// of its run's folder.")
    ] = None,
    job_name: Annotated[str | None, typer.Option("--job-name", help="The training, as an option.")] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(help="Only this one, such as checkpoint-120; may be repeated. epochs.json stays then."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Also write the document to this file; - prints it instead.")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Also write epochs.json into this folder, which is made.")
    ] = None,
    max_receipts: Annotated[
        int | None,
        typer.Option(min=1, help="Score so many validation receipts at most. epochs.json in S3 stays then."),
    ] = None,
    num_showcase: Annotated[
        int | None, typer.Option(min=0, help="Name so many receipts to be shown, instead of a few.")
    ] = None,
) -> None:
    """Score every checkpoint of a run on its validation receipts, and write epochs.json beside them."""
    from layoutlm_cli.writing import refuse_unwritable, write_whole, writing_explained  # noqa: PLC0415
    from run_records.epochs_json import EPOCHS_JSON  # noqa: PLC0415
    from run_records.s3_store import S3Store  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    run = one_of(job, job_name, "the training", "--job-name")
    if output_dir is not None:
        with writing_explained(output_dir):
            output_dir.mkdir(parents=True, exist_ok=True)
    if output not in {None, "-"}:
        refuse_unwritable(Path(str(output)))
    settings = Settings.from_environ()
    storage = S3Store(settings.allowed_buckets)
    root = find_run(settings, run)
    document = _evaluate(settings, storage, root, checkpoint or (), Sample(max_receipts, num_showcase))
    text = document.model_dump_json(indent=2)
    whole = not checkpoint and max_receipts is None
    if whole:
        storage.write(f"{root}{EPOCHS_JSON}", text.encode())
    if output_dir is not None:
        write_whole(output_dir / EPOCHS_JSON, text + "\n")
    if output == "-":
        typer.echo(text)
        return
    if output is not None:
        write_whole(Path(output), text + "\n")
    _show(document)
    if whole:
        typer.echo(f"wrote {root}{EPOCHS_JSON}")


class Sample(NamedTuple):
    """How many receipts are scored, and how many are named to be shown; None leaves the default."""

    receipts: int | None
    showcase: int | None


def _evaluate(
    settings: Settings, storage: S3Store, root: str, names: Sequence[str], sample: Sample
) -> EpochsFile:
    from layoutlm_cli.console import errors  # noqa: PLC0415
    from receipt_layoutlm.evaluation.checkpoint_scores import (  # noqa: PLC0415
        SHOWCASE,
        describe_epochs,
        evaluate_checkpoints,
        list_checkpoints,
    )
    from receipt_layoutlm.evaluation.heldout_receipts import find_frozen  # noqa: PLC0415
    from run_records.run_json import read_run_record  # noqa: PLC0415

    record = read_run_record(storage, root)
    chosen = list_checkpoints(storage, root, names)
    frozen = find_frozen(storage, lambda: open_table(settings), record).sample(sample.receipts)
    with errors.status("evaluating") as status:

        def show(name: str, done: int, in_all: int) -> None:
            status.update(f"{name}: {done} of {in_all} batches")

        epochs = list(evaluate_checkpoints(storage, chosen, record, frozen, show))
    showcase = SHOWCASE if sample.showcase is None else sample.showcase
    return describe_epochs(record, root, epochs, frozen.hash, frozen.keys, showcase=showcase)


def find_run(settings: Settings, job: str) -> str:
    """The S3 folder of a run, with its slash."""
    if job.startswith("s3://"):
        return job if job.endswith("/") else f"{job}/"
    return asyncio.run(_find_root(settings, job))


def open_table(settings: Settings) -> Any:
    """The table of the settings, which it has to name."""
    from receipt_dynamo.client import DynamoClient  # noqa: PLC0415

    settings.require("table_name")
    return DynamoClient(str(settings.table_name), region=settings.region, endpoint_url=settings.endpoint_url)


async def _find_root(settings: Settings, name: str) -> str:
    from run_records.errors import ConfigurationError  # noqa: PLC0415
    from workers.aws_clients import open_aws  # noqa: PLC0415

    async with open_aws(settings) as aws:
        job = await aws.table.find_job(name, prefer_succeeded=True)
    if not job.storage:
        raise ConfigurationError(
            f"Job {job.name} ({job.status}) does not say where its run lies. Name the s3:// folder instead."
        )
    return f"s3://{job.storage['bucket']}/{job.storage['run_root_prefix']}"


def _show(document: EpochsFile) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    table(
        f"{document.job_name}: {document.num_val_receipts} validation receipts",
        (
            "checkpoint",
            "epoch",
            "F1",
            "95 %",
            "constrained",
            "precision",
            "recall",
            "words",
            "in training",
            "seconds",
        ),
        _rows(document.epochs),
    )
    typer.echo(f"best: {document.best_checkpoint_heldout} of epoch {document.best_epoch_heldout:g}")
    if not document.val_receipts_hash_verified:
        typer.echo(
            "warning: these are not the receipts that the run was scored on "
            f"(hash {document.val_receipts_hash}, recorded {document.val_receipts_hash_recorded})",
            err=True,
        )
    if not document.metrics_comparable:
        typer.echo(f"cannot be compared with other runs: {document.comparability_reason}")


def _rows(epochs: Iterable[EpochScores]) -> list[tuple[Any, ...]]:
    from layoutlm_cli.console import score  # noqa: PLC0415

    rows = []
    for one in epochs:
        interval = one.diagnostics["f1_interval"]
        rows.append(
            (
                one.checkpoint,
                f"{one.epoch:g}",
                score(one.heldout_f1),
                f"{interval['low']:.3f}-{interval['high']:.3f}",
                score(one.diagnostics["f1_constrained"]),
                score(one.heldout_precision),
                score(one.heldout_recall),
                score(one.token_accuracy),
                score(one.training_reported_f1),
                f"{(one.total_inference_ms or 0) / 1000:.1f}",
            )
        )
    return rows
