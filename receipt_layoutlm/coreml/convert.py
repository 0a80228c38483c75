"""One checkpoint's model as an ML program, after the graph has been shown to equal the checkpoint."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from transformers import LayoutLMForTokenClassification

from messages.quantize import Quantize
from receipt_layoutlm.coreml.model import INPUT_NAMES, MAX_TOKENS, check_parity, trace_model
from receipt_layoutlm.coreml.program import constants, load_function
from receipt_layoutlm.coreml.toolkit import compression, ct, quiet

log = logging.getLogger(__name__)

DEFAULT_LICENSE = "MIT; the base weights are Microsoft's LayoutLM, MIT"
_AUTHOR = "receipt-layoutlm"
_MATRIX = 2
_INT8 = compression.OpLinearQuantizerConfig(mode="linear_symmetric", granularity="per_channel")
_PALETTE = compression.OpPalettizerConfig(mode="kmeans", nbits=4)
_LIBRARIES = ("receipt-layoutlm", "torch", "transformers", "coremltools")


@dataclass(frozen=True, slots=True)
class PackageMetadata:
    """What the package says about itself to whoever opens it in Xcode."""

    source_checkpoint: str
    run_name: str
    license_text: str = DEFAULT_LICENSE


def convert(model: LayoutLMForTokenClassification, quantize: Quantize, metadata: PackageMetadata) -> Any:
    """Convert a model in float32 and evaluation mode.

    Args:
        model: the checkpoint's model.
        quantize: format of the weights: None is float32; int8 and int4 compress the float16 program.
        metadata: where the model came from.

    Returns:
        A coremltools MLModel with int32 inputs [1, n] (bbox [1, n, 4]), n in 1..512, and the output logits
        [1, n, num_labels] in float32.

    Raises:
        BundleError: the graph to convert does not give the checkpoint's logits.
    """
    traced = trace_model(model)
    difference = check_parity(traced, model)
    log.info("the traced graph equals the checkpoint to %.1e", difference)
    with quiet():
        package = to_program(traced, ct.precision.FLOAT32 if quantize is None else ct.precision.FLOAT16)
        if quantize in _COMPRESS:
            package = _COMPRESS[quantize](package)
    _describe(package, model, quantize, metadata)
    return package


def to_program(traced: Any, precision: Any) -> Any:
    """Convert a traced graph with the clients' inputs and output; runs on iOS 16 and macOS 13 or later."""
    length = ct.RangeDim(1, MAX_TOKENS, default=MAX_TOKENS)
    shapes = {name: (1, length, 4) if name == "bbox" else (1, length) for name in INPUT_NAMES}
    return ct.convert(
        traced,
        inputs=[ct.TensorType(name=name, shape=shape, dtype=np.int32) for name, shape in shapes.items()],
        outputs=[ct.TensorType(name="logits", dtype=np.float32)],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=precision,
        skip_model_load=True,  # compiling it for this host would prove nothing about the clients'
    )


def _to_int8(package: Any) -> Any:
    return compression.linear_quantize_weights(
        package, _only_weights_of({"linear", "gather"}, package, _INT8)
    )


def _to_int4(package: Any) -> Any:
    # A matrix averages the errors of its sixteen values over its inputs; a row that is looked up keeps them.
    package = compression.palettize_weights(package, _only_weights_of({"linear"}, package, _PALETTE))
    return compression.linear_quantize_weights(package, _only_weights_of({"gather"}, package, _INT8))


def _only_weights_of(op_types: set[str], package: Any, setting: Any) -> Any:
    # By name: equal biases are stored once, and coremltools refuses one that two kinds of operation share.
    function = load_function(Path(package.package_path), package.get_spec())
    names = [
        operation.name
        for operation, value in constants(function)
        if value.ndim == _MATRIX
        and value.dtype.kind == "f"
        and any(user.op_type in op_types for user in operation.outputs[0].child_ops)
    ]
    return compression.OptimizationConfig(op_name_configs=dict.fromkeys(names, setting))


_COMPRESS: dict[str | None, Callable[[Any], Any]] = {"int8": _to_int8, "int4": _to_int4}


def _describe(
    package: Any, model: LayoutLMForTokenClassification, quantize: Quantize, metadata: PackageMetadata
) -> None:
    labels = [model.config.id2label[number] for number in range(model.config.num_labels)]
    package.author = _AUTHOR
    package.license = metadata.license_text
    package.version = version(_AUTHOR)
    package.short_description = "LayoutLM that labels the words of a receipt (logits per token)."
    package.user_defined_metadata.update(
        {
            "labels": json.dumps(labels),
            "source_checkpoint": metadata.source_checkpoint,
            "run_name": metadata.run_name,
            "quantize": quantize or "float32",
            "versions": json.dumps({name: version(name) for name in _LIBRARIES}),
        }
    )
