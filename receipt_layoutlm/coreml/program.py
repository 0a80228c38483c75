"""Reads back the package that was saved and refuses one that could not give finite, well-formed logits.

coremltools only warns where a constant overflows float16, and a host that is not a Mac cannot predict, so
the saved program itself is looked through.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from messages.quantize import Quantize
from receipt_layoutlm.coreml.model import INPUT_NAMES, MAX_TOKENS
from receipt_layoutlm.coreml.toolkit import ct, load_milproto, quiet
from receipt_layoutlm.errors import BundleError

_SPECIFICATION_VERSION = 7  # iOS 16 and macOS 13
_WEIGHT_ELEMENTS = 2048  # coremltools leaves smaller constants as they are
_RANK_OF_LOGITS = 3
_COMPRESSED_BY = {"int8": "constexpr_affine_dequantize", "int4": "constexpr_lut_to_dense"}


def check_package(package: Path, *, num_labels: int, quantize: Quantize) -> None:
    """Hold a saved package to its interface, its weight format and finite constants.

    Raises:
        BundleError: with the input, output or operation that is at fault.
    """
    try:
        spec = ct.utils.load_spec(str(package))
        check_interface(spec)
        function = load_function(package, spec)
    except BundleError:
        raise
    except Exception as error:  # coremltools raises bare RuntimeErrors for a damaged package
        raise BundleError(f"{package.name} cannot be read back: {error}. Convert it again.") from error
    _check_logits(function, num_labels)
    _check_finite(function)
    _check_weights(function, quantize)


def check_interface(spec: Any) -> None:
    """Hold the declared inputs and outputs of a spec to what clients send and read."""
    if spec.WhichOneof("Type") != "mlProgram" or spec.specificationVersion != _SPECIFICATION_VERSION:
        raise BundleError(
            f"The package is a {spec.WhichOneof('Type')} of version {spec.specificationVersion}; clients "
            f"load an mlProgram of version {_SPECIFICATION_VERSION} (iOS 16, macOS 13)."
        )
    array = ct.proto.FeatureTypes_pb2.ArrayFeatureType
    inputs = {feature.name: _shape(feature.type.multiArrayType) for feature in spec.description.input}
    wanted = {name: _wanted_shape(name, array.INT32) for name in INPUT_NAMES}
    if inputs != wanted:
        wrong = sorted(name for name in inputs.keys() | wanted.keys() if inputs.get(name) != wanted.get(name))
        raise BundleError(
            f"The inputs {', '.join(wrong)} are not the int32 arrays [1, 1..{MAX_TOKENS}] (bbox [.., 4]) "
            f"with {MAX_TOKENS} as their default that clients send."
        )
    outputs = {feature.name: feature.type.multiArrayType.dataType for feature in spec.description.output}
    if outputs != {"logits": array.FLOAT32}:
        raise BundleError(f"The outputs are {sorted(outputs)}; clients read one float32 array named logits.")


def load_function(package: Path, spec: Any) -> Any:
    """Load the program of a saved package, weights included, as coremltools' own representation."""
    weights = package / "Data" / "com.apple.CoreML" / "weights"
    with quiet():
        program = load_milproto(spec, spec.specificationVersion, str(weights))
    return program.functions["main"]


def constants(block: Any) -> Iterator[tuple[Any, np.ndarray[Any, Any]]]:
    """Every constant of a function or block with the operation that holds it, inner blocks included."""
    for operation in block.operations:
        if operation.op_type == "const":
            yield operation, np.asarray(operation.outputs[0].val)
        for inner in operation.blocks:
            yield from constants(inner)


def _shape(array: Any) -> tuple[Any, ...]:
    ranges = [(size.lowerBound, size.upperBound) for size in array.shapeRange.sizeRanges]
    return array.dataType, list(array.shape), ranges


def _wanted_shape(name: str, data_type: Any) -> tuple[Any, ...]:
    last = [4] if name == "bbox" else []
    return data_type, [1, MAX_TOKENS, *last], [(1, 1), (1, MAX_TOKENS), *((size, size) for size in last)]


def _check_logits(function: Any, num_labels: int) -> None:
    shape = function.outputs[0].shape
    if len(shape) != _RANK_OF_LOGITS or shape[-1] != num_labels:
        raise BundleError(f"logits is {list(shape)}; the checkpoint has {num_labels} labels for each token.")


def _check_finite(function: Any) -> None:
    for operation, value in constants(function):
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            bad = value[~np.isfinite(value)].flat[0]
            users = ", ".join(f"{user.name} ({user.op_type})" for user in operation.outputs[0].child_ops)
            raise BundleError(
                f"The constant {operation.name} of operation {users or 'none'} holds {bad}: a number of the "
                "graph does not fit the weights' format. Export as float32, or find what made it so large."
            )


def _check_weights(function: Any, quantize: Quantize) -> None:
    if quantize in _COMPRESSED_BY:
        kind = _COMPRESSED_BY[quantize]
        if not any(operation.op_type == kind for operation in function.operations):
            raise BundleError(f"No weight was compressed to {quantize} (no {kind}). Export as float16.")
        return
    wanted = np.dtype(np.float32 if quantize is None else np.float16)
    for operation, value in constants(function):
        if value.dtype.kind == "f" and value.size >= _WEIGHT_ELEMENTS and value.dtype != wanted:
            raise BundleError(
                f"The weight {operation.name} is {value.dtype} but {wanted} was asked; coremltools keeps "
                "what does not fit. Export as float32, or find what made it so large."
            )
