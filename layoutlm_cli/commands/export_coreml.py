"""`export-coreml`: a checkpoint, local or in S3, to a bundle in a folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutlm_cli.argument_or_option import one_of

if TYPE_CHECKING:
    from receipt_layoutlm.coreml.manifest import BundleForm


def export_coreml(  # noqa: PLR0913, PLR0917 - each is one option of the command
    checkpoint: Annotated[
        str | None, typer.Argument(help="Folder of a checkpoint, or its s3:// prefix.")
    ] = None,
    out: Annotated[Path | None, typer.Argument(help="Folder that the bundle is written to.")] = None,
    checkpoint_option: Annotated[
        str | None,
        typer.Option(
            "--checkpoint-dir",
            "--s3-uri",
            help="The checkpoint, as an option. s3://BUCKET/runs/JOB/checkpoint-STEP/ is found wherever the "
            "run keeps that step.",
        ),
    ] = None,
    out_option: Annotated[
        Path | None, typer.Option("--output-dir", help="The bundle's folder, as an option.")
    ] = None,
    quantize: Annotated[str, typer.Option(help="float16, int8, int4, or float32.")] = "float16",
    shapes: Annotated[
        str,
        typer.Option(help="Token counts it takes: range (1..512), fixed:N, or enum:64,128,256,512 (iOS 18)."),
    ] = "range",
    run_name: Annotated[
        str, typer.Option(help="Name of the training, for the package's metadata.")
    ] = "local",
    archive: Annotated[
        bool, typer.Option("--zip", help="Write OUT.zip beside it, as clients take it.")
    ] = False,
) -> None:
    """Convert a checkpoint to a CoreML bundle in this process; it has to pass every gate."""
    from messages.export_options import (  # noqa: PLC0415
        parse_quantize,
        parse_shapes,
    )

    started = time.monotonic()
    source = one_of(checkpoint, checkpoint_option, "the checkpoint", "--checkpoint-dir")
    target = one_of(out, out_option, "the bundle's folder", "--output-dir")
    weights, lengths = parse_quantize(quantize), parse_shapes(shapes)
    from layoutlm_cli.writing import writing_explained  # noqa: PLC0415
    from receipt_layoutlm.checkpoint import find_step  # noqa: PLC0415
    from receipt_layoutlm.coreml.deterministic_archive import zip_bundle  # noqa: PLC0415
    from receipt_layoutlm.coreml.export import export_local  # noqa: PLC0415
    from receipt_layoutlm.coreml.manifest import BundleForm  # noqa: PLC0415
    from receipt_layoutlm.coreml.validation_receipts import find_validation_by_hand  # noqa: PLC0415
    from run_records.s3_store import S3Store  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    _say_what_it_needs(BundleForm(weights, lengths))
    with writing_explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    settings = Settings.from_environ()
    storage = S3Store(settings.allowed_buckets)
    source = find_step(storage, source)
    made = export_local(
        source,
        target,
        weights,
        shapes=lengths,
        run_name=run_name,
        validation=find_validation_by_hand(storage, source, settings.table_name),
        storage=storage,
    )
    if archive:
        zip_bundle(made, made.with_name(f"{made.name}.zip"))
    _show(made, started)


def _say_what_it_needs(form: BundleForm) -> None:
    from layoutlm_cli.console import errors  # noqa: PLC0415
    from receipt_layoutlm.coreml.interface import target_of  # noqa: PLC0415
    from receipt_layoutlm.coreml.manifest import known_issues  # noqa: PLC0415

    target = target_of(form.shapes)
    errors.print(f"The bundle will need iOS {target.ios} or macOS {target.macos}.")
    for issue in known_issues(form):
        errors.print(f"{form.quantize} is experimental: {issue.title} <{issue.url}>", markup=False)


def _show(made: Path, started: float) -> None:
    from layoutlm_cli.commands.bundle import show_gates  # noqa: PLC0415
    from layoutlm_cli.console import size  # noqa: PLC0415
    from receipt_layoutlm.coreml.build import peak_memory_bytes  # noqa: PLC0415
    from receipt_layoutlm.coreml.bundle import VERIFICATION, read_verification  # noqa: PLC0415

    for path in sorted(path for path in made.rglob("*") if path.is_file()):
        typer.echo(f"{path.relative_to(made)}  {size(path.stat().st_size)}")
    show_gates(read_verification(made / VERIFICATION).gates)
    typer.echo(f"took {time.monotonic() - started:.0f} s and at most {size(peak_memory_bytes())} of memory")
