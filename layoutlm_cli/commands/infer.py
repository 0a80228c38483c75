"""`infer`: a model tried on one receipt, as a table, as JSON or as a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from layoutlm_cli.argument_or_option import one_of

if TYPE_CHECKING:
    from receipt_layoutlm.inference.receipt_json import LabelledReceipt
    from receipt_layoutlm.inference.resolve import FoundReceipt
    from run_records.s3_store import S3Store
    from workers.settings import Settings


Model = tuple[Literal["checkpoint", "bundle", "job"], str]


def infer(  # noqa: PLR0913, PLR0917 - each is one argument or option of the command
    receipt: Annotated[
        str | None, typer.Argument(help="Image id of a receipt of the table, or a JSON file.")
    ] = None,
    receipt_id: Annotated[int | None, typer.Argument(help="Receipt id; none for a JSON file.")] = None,
    image_id: Annotated[str | None, typer.Option("--image-id", help="The image id, as an option.")] = None,
    receipt_option: Annotated[
        int | None, typer.Option("--receipt-id", help="The receipt id, as an option.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            "--model-dir",
            "--model-s3-uri",
            help="Checkpoint: a folder, or its s3:// prefix.",
        ),
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Bundle: a folder or zip, here or in s3://.")] = None,
    job: Annotated[str | None, typer.Option(help="Id or name of a training: its best checkpoint.")] = None,
    decoding: Annotated[
        Literal["constrained", "plain"],
        typer.Option(help="constrained: the best tags that BIO allows; plain: each word's own best."),
    ] = "constrained",
    as_json: Annotated[bool, typer.Option("--json", help="Every word and entity, as JSON.")] = False,
    draw: Annotated[Path | None, typer.Option(help="Also draw the receipt with its labels, as PNG.")] = None,
) -> None:
    """Label the words of one receipt with a checkpoint or a bundle."""
    from receipt_layoutlm.checkpoint import find_step  # noqa: PLC0415
    from receipt_layoutlm.inference.label import label_receipt  # noqa: PLC0415
    from receipt_layoutlm.inference.resolve import open_model  # noqa: PLC0415
    from run_records.s3_store import S3Store  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    wanted = one_of(receipt, image_id, "the receipt", "--image-id")
    number = None
    if receipt_id is not None or receipt_option is not None:
        number = one_of(receipt_id, receipt_option, "the receipt's id", "--receipt-id")
    chosen = _choose_model(checkpoint=checkpoint, bundle=bundle, job=job)
    if draw is not None:
        _check_drawing(draw)
    settings = Settings.from_environ()
    storage = S3Store(settings.allowed_buckets)
    found = _find_receipt(settings, wanted, number)
    kind, place = _find_model(chosen, settings)
    if kind == "checkpoint":
        place = find_step(storage, place)
    with open_model(kind, place, storage) as labeller:
        labelled = label_receipt(labeller, found.receipt, decoding)
    if as_json:
        typer.echo(labelled.model_dump_json(indent=2))
    else:
        _print(labelled)
    if draw is not None:
        _draw(draw, labelled, found, storage)


def _choose_model(**options: str | None) -> Model:
    given: Sequence[Any] = [(name, value) for name, value in options.items() if value is not None]
    if len(given) != 1:
        raise typer.BadParameter("name the model by one of --checkpoint, --bundle and --job")
    model: Model = given[0]
    return model


def _check_drawing(path: Path) -> None:
    # Before a model is fetched for minutes.
    from layoutlm_cli.writing import refuse_unwritable  # noqa: PLC0415
    from run_records.errors import ConfigurationError  # noqa: PLC0415

    if path.suffix.lower() != ".png":
        raise typer.BadParameter(f"{path} must be a .png", param_hint="--draw")
    refuse_unwritable(path)
    try:
        import PIL  # noqa: F401, PLC0415 - only whether it is there
    except ImportError as error:
        raise ConfigurationError(
            "Drawing needs Pillow. Install receipt-layoutlm[draw], or leave --draw out."
        ) from error


def _find_receipt(settings: Settings, receipt: str, receipt_id: int | None) -> FoundReceipt:
    from receipt_dynamo.client import DynamoClient  # noqa: PLC0415
    from receipt_layoutlm.inference.resolve import find_in_file, find_in_table  # noqa: PLC0415

    if receipt_id is None:
        return find_in_file(Path(receipt))
    settings.require("table_name")
    client = DynamoClient(
        str(settings.table_name), region=settings.region, endpoint_url=settings.endpoint_url
    )
    return find_in_table(client, receipt, receipt_id)


def _find_model(model: Model, settings: Settings) -> tuple[Literal["checkpoint", "bundle"], str]:
    kind, name = model
    return ("checkpoint", asyncio.run(_best_checkpoint(settings, name))) if kind == "job" else (kind, name)


async def _best_checkpoint(settings: Settings, name: str) -> str:
    from run_records.errors import ConfigurationError  # noqa: PLC0415
    from workers.aws_clients import open_aws  # noqa: PLC0415

    async with open_aws(settings) as aws:
        job = await aws.table.find_job(name, prefer_succeeded=True)
    best = job.results.get("best_checkpoint_s3_path")
    if not isinstance(best, str):
        raise ConfigurationError(
            f"Job {job.name} ({job.status}) has no best checkpoint yet. Wait for its end, or name another "
            "model with --checkpoint."
        )
    return best


def _print(labelled: LabelledReceipt) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415

    rows = [(entity.label, entity.text, f"{entity.confidence:.0%}") for entity in labelled.entities]
    title = f"{labelled.image_id} {labelled.receipt_id}: {len(rows)} entities, {len(labelled.words)} words"
    table(title, ("label", "text", "confidence"), rows)
    changed = [word for word in labelled.words if word.clients_tag is not None]
    if changed:
        table(
            "words that the clients tag otherwise",
            ("word", "here", "clients"),
            [(word.text, word.tag, word.clients_tag) for word in changed],
        )


def _draw(path: Path, labelled: LabelledReceipt, found: FoundReceipt, storage: S3Store) -> None:
    from layoutlm_cli.console import printable  # noqa: PLC0415
    from layoutlm_cli.writing import writing_explained  # noqa: PLC0415
    from receipt_layoutlm.inference.draw import draw_receipt  # noqa: PLC0415
    from receipt_layoutlm.inference.resolve import fetch_page  # noqa: PLC0415

    page, why_none = fetch_page(found, storage)
    if why_none:
        typer.echo(f"drawn on a white page: {printable(why_none)}", err=True)
    with writing_explained(path):
        draw_receipt(labelled, page, found.size).save(path, format="PNG")
    typer.echo(f"wrote {path}", err=True)
