"""Runs the six gates in order."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from messages.export_options import Quantize, Shapes
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint
from receipt_layoutlm.coreml.verify.arithmetic import Extremes, check_arithmetic, check_headroom
from receipt_layoutlm.coreml.verify.quality import Validation, check_quality
from receipt_layoutlm.coreml.verify.sample_inputs import draw_cases
from receipt_layoutlm.coreml.verify.static import check_static
from receipt_layoutlm.coreml.verify.structure import check_structure
from receipt_layoutlm.coreml.verify.verification_json import GATES, GateName, Verification
from receipt_layoutlm.coreml.verify.weights import check_weights, copy_back, match_parameters
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.errors import BundleError

log = logging.getLogger(__name__)


def verify_package(  # noqa: PLR0913 - what is held against what, and how
    package: Path,
    checkpoint: Checkpoint,
    *,
    quantize: Quantize,
    shapes: Shapes,
    receipts: Sequence[Receipt] | Validation = (),
    trained: bool,
    documents: Path | None = None,
    on_gate: Callable[[GateName], None] = lambda _: None,
) -> Verification:
    """Hold a saved package to the checkpoint that it was made of.

    Args:
        package: the .mlpackage folder.
        checkpoint: what it was made of.
        quantize: the format of its weights; None is float32.
        shapes: the lengths that it takes.
        receipts: labelled receipts that the model was not trained on, for the gate quality.
        trained: whether labels mean something; otherwise that gate only reports.
        documents: folder of the bundle's documents; its vocabulary is held to the checkpoint's.
        on_gate: told the name of each gate before it begins.

    Returns:
        What each gate measured; the same for the same package on the same machine.

    Raises:
        BundleError: a gate fails, with its name, number, limit and operation.
    """

    def gate(name: GateName) -> AbstractContextManager[None]:
        on_gate(name)
        return _named(name)

    validation = receipts if isinstance(receipts, Validation) else Validation(receipts, len(receipts))
    model = checkpoint.model
    extremes = Extremes()
    with gate("static"):
        static, program = check_static(package, checkpoint, quantize, shapes, documents)
        gc.collect()  # what coremltools has read holds itself in circles, and is as large as the weights
    # Weights before structure: a wrong weight is easier to find by its name than by its effect on logits.
    with gate("weights"):
        matches = match_parameters(program, model)
        weights = check_weights(matches, quantize)
    cases = draw_cases(model, shapes)
    with gate("structure"):
        same_weights = copy_back(model, matches, quantize)
        from_package = [case.reference(same_weights) for case in cases]
        structure = check_structure(program, same_weights, cases, from_package)
    with gate("arithmetic"):
        # Gates weights and quality measure the cost of compression; here it would hide that of rounding.
        compressed = quantize in {"int8", "int4"}
        wanted = from_package if compressed else [case.reference(model) for case in cases]
        arithmetic = check_arithmetic(program, cases, wanted, quantize, extremes)
    del same_weights
    with gate("quality"):
        quality = check_quality(
            program, checkpoint, validation, extremes, quantize=quantize, shapes=shapes, trained=trained
        )
    with gate("headroom"):
        headroom = check_headroom(extremes, quantize)
    found = (static, weights, structure, arithmetic, quality, headroom)
    gates = tuple(sorted(found, key=lambda one: GATES.index(one.name)))
    return Verification(quantize=quantize, shapes=shapes, gates=gates)


@contextmanager
def _named(gate: GateName) -> Iterator[None]:
    """Tell which gate a fault in this block is of."""
    started = time.monotonic()
    try:
        yield
    except BundleError as error:
        raise BundleError(f"The gate {gate} refuses the package: {error}") from error
    log.info("gate %s took %.1f s", gate, time.monotonic() - started)
