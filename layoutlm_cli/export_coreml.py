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
