"""`export-coreml`: a checkpoint, local or in S3, to a bundle in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export_coreml(
    checkpoint: Annotated[str, typer.Argument(help="Folder of a checkpoint, or its s3:// prefix.")],
    out: Annotated[Path, typer.Argument(help="Folder that the bundle is written to.")],
    quantize: Annotated[str, typer.Option(help="float16, int8, int4, or float32.")] = "float16",
) -> None:
    """Convert a checkpoint to a CoreML bundle here and now."""
    from layoutlm_cli.console import size  # noqa: PLC0415
    from messages.quantize import parse_quantize  # noqa: PLC0415
    from receipt_layoutlm.child import Reporter  # noqa: PLC0415
    from receipt_layoutlm.coreml.export import export_local  # noqa: PLC0415
    from receipt_layoutlm.storage import Storage  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    made = export_local(
        checkpoint,
        out,
        parse_quantize(quantize),
        storage=Storage(Settings.from_environ().allowed_buckets),
        reporter=Reporter(None),
    )
    for path in sorted(path for path in made.rglob("*") if path.is_file()):
        typer.echo(f"{path.relative_to(made)}  {size(path.stat().st_size)}")
