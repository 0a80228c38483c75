"""The error of the gates for a package that they must refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from messages.export_options import RANGE, Quantize, Shapes
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint
from receipt_layoutlm.coreml.verify import verify_package
from receipt_layoutlm.errors import BundleError


def refusal(
    package: Path,
    checkpoint: Checkpoint,
    quantize: Quantize = "float16",
    shapes: Shapes = RANGE,
    documents: Path | None = None,
) -> str:
    with pytest.raises(BundleError) as caught:
        verify_package(
            package, checkpoint, quantize=quantize, shapes=shapes, trained=False, documents=documents
        )
    return str(caught.value)
