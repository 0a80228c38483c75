"""`validate-coreml`: checks that a bundle is the model of a checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from layoutlm_cli.argument_or_option import one_of

_EX_FAILED = 1


def validate_coreml(  # noqa: PLR0913, PLR0917 - each is one option of the command
    checkpoint: Annotated[
        str | None, typer.Argument(help="Folder of a checkpoint, or its s3:// prefix.")
    ] = None,
    bundle: Annotated[str | None, typer.Argument(help="A bundle's folder or zip, local or s3://.")] = None,
    checkpoint_dir: Annotated[
        str | None, typer.Option("--checkpoint-dir", help="The checkpoint, as an option.")
    ] = None,
    coreml_bundle: Annotated[
        str | None, typer.Option("--coreml-bundle", help="The bundle, as an option.")
    ] = None,
    on_mac: Annotated[
        bool, typer.Option("--on-mac", help="Run the golden cases by CoreML, on every compute unit.")
    ] = False,
    output_json: Annotated[
        str | None,
        typer.Option(help="Write the report to this file as JSON; - prints it instead of the table."),
    ] = None,
) -> None:
    """Hold a bundle to a checkpoint: files, all gates, golden cases; exit code 1 when something is wrong."""
    from layoutlm_cli.commands.bundle import show_gates  # noqa: PLC0415
    from layoutlm_cli.writing import refuse_unwritable, write_whole  # noqa: PLC0415
    from receipt_layoutlm.checkpoint import find_step  # noqa: PLC0415
    from receipt_layoutlm.coreml.export import find_checkpoint  # noqa: PLC0415
    from receipt_layoutlm.coreml.open_bundle import open_bundle  # noqa: PLC0415
    from receipt_layoutlm.coreml.source_checkpoint import load_checkpoint  # noqa: PLC0415
    from receipt_layoutlm.coreml.validate import validate_bundle  # noqa: PLC0415
    from receipt_layoutlm.coreml.validation_receipts import find_validation_by_hand  # noqa: PLC0415
    from run_records.s3_store import S3Store  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    trained = one_of(checkpoint, checkpoint_dir, "the checkpoint", "--checkpoint-dir")
    exported = one_of(bundle, coreml_bundle, "the bundle", "--coreml-bundle")
    if output_json not in {None, "-"}:
        refuse_unwritable(Path(str(output_json)))
    settings = Settings.from_environ()
    storage = S3Store(settings.allowed_buckets)
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as work, open_bundle(exported, storage) as folder:
        source, _ = find_checkpoint(find_step(storage, trained), storage, Path(work))
        report = validate_bundle(
            load_checkpoint(source),
            folder,
            runtime="macos" if on_mac else "evaluator",
            validation=find_validation_by_hand(storage, find_step(storage, trained), settings.table_name),
        )
    text = report.model_dump_json(indent=2)
    if output_json == "-":
        typer.echo(text)
    else:
        show_gates(report.checks)
        typer.echo("passed" if report.passed else "FAILED")
    if output_json not in {None, "-"}:
        write_whole(Path(str(output_json)), text + "\n")
    if not report.passed:
        raise typer.Exit(_EX_FAILED)
