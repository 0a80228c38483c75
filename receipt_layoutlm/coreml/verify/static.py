"""Gate 1, static: checks of a package that need no run of it.

coremltools only warns where a constant overflows float16, so the saved program itself is looked through.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from messages.export_options import RANGE, Quantize, Shapes
from receipt_layoutlm.coreml.coremltools_import import ct
from receipt_layoutlm.coreml.evaluator import Program, SavedPackage, constants, read_package
from receipt_layoutlm.coreml.interface import OUTPUT_NAME, input_shape, target_of
from receipt_layoutlm.coreml.model import INPUT_NAMES
from receipt_layoutlm.coreml.source_checkpoint import Checkpoint
from receipt_layoutlm.coreml.verify.verification_json import Gate, Number
from receipt_layoutlm.errors import BundleError
from receipt_layoutlm.tokenizer_files import VOCABULARY, read_vocabulary

_WEIGHT_ELEMENTS = 2048  # coremltools compresses only what has more
# How weights are compressed; the second way to int8 is that of iOS 18, and int4 has embeddings in int8.
_INT8 = frozenset({"constexpr_affine_dequantize", "constexpr_blockwise_shift_scale"})
_WAYS: Mapping[Quantize, frozenset[str]] = {
    None: frozenset(),
    "float16": frozenset(),
    "int8": _INT8,
    "int4": _INT8 | {"constexpr_lut_to_dense"},
}
_RANK_OF_LOGITS = 3
_MATRIX = 2


def check_static(
    package: Path, checkpoint: Checkpoint, quantize: Quantize, shapes: Shapes, documents: Path | None
) -> tuple[Gate, Program]:
    """Hold a package to what was asked for; returns the gate and the program for the gates after it.

    Raises:
        BundleError: with the file, input, output or operation that is at fault.
    """
    saved = read_package(package)
    check_read(saved, num_labels=len(checkpoint.config.labels), quantize=quantize, shapes=shapes)
    program = Program(saved)
    _check_labels(saved.spec, checkpoint.config.labels)
    if documents is not None:
        _check_vocabulary(documents / VOCABULARY, checkpoint.vocabulary)
    kinds = {operation.kind for operation in program.operations}
    gate = Gate(
        name="static",
        numbers=(
            Number(name="operations", value=len(program.operations)),
            Number(name="kinds of operations", value=len(kinds)),
            Number(name="constants", value=len(program.constants)),
        ),
        sentence="Every constant is finite, every operation known; inputs, output and target are as asked.",
    )
    return gate, program


def check_package(package: Path, *, num_labels: int, quantize: Quantize, shapes: Shapes = RANGE) -> None:
    """Hold a saved package to its interface, its weight format and finite constants.

    Raises:
        BundleError: with the input, output or operation that is at fault.
    """
    check_read(read_package(package), num_labels=num_labels, quantize=quantize, shapes=shapes)


def check_read(saved: SavedPackage, *, num_labels: int, quantize: Quantize, shapes: Shapes) -> None:
    """As `check_package`, for one that has been read."""
    check_interface(saved.spec, shapes)
    _check_logits(saved.function, num_labels)
    _check_finite(saved.function)
    _check_weights(saved.function, quantize)


def check_interface(spec: Any, shapes: Shapes = RANGE) -> None:
    """Hold target, inputs and outputs that a spec declares to what clients send and read."""
    target = target_of(shapes)
    version = target.specification_version
    if spec.WhichOneof("Type") != "mlProgram" or spec.specificationVersion != version:
        raise BundleError(
            f"The package is a {spec.WhichOneof('Type')} of version {spec.specificationVersion}; the shapes "
            f"{shapes} ask for an mlProgram of version {version} (iOS {target.ios}, macOS {target.macos})."
        )
    opsets = [function.opset for function in spec.mlProgram.functions.values()]
    if opsets != [f"CoreML{version - 1}"]:
        raise BundleError(f"The program's opset is {opsets}; asked for is CoreML{version - 1} alone.")
    _check_inputs(spec, shapes)
    array = ct.proto.FeatureTypes_pb2.ArrayFeatureType
    outputs = {feature.name: feature.type.multiArrayType.dataType for feature in spec.description.output}
    if outputs != {OUTPUT_NAME: array.FLOAT32}:
        raise BundleError(f"The outputs are {sorted(outputs)}; clients read one float32 array named logits.")


def _check_inputs(spec: Any, shapes: Shapes) -> None:
    int32 = ct.proto.FeatureTypes_pb2.ArrayFeatureType.INT32
    found = {
        feature.name: (feature.type.multiArrayType.dataType, _declared_shapes(feature.type.multiArrayType))
        for feature in spec.description.input
    }
    wanted = {name: (int32, _wanted_shapes(name, shapes)) for name in INPUT_NAMES}
    wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if wrong:
        raise BundleError(
            f"The inputs {', '.join(wrong)} are not the int32 arrays [1, n] (bbox [1, n, 4]) with n of "
            f"{shapes} and {shapes.longest} as their default that clients send."
        )


def _declared_shapes(array: Any) -> tuple[Any, ...]:
    """The default shape, the range of each axis, and the shapes that are listed."""
    ranges = [(size.lowerBound, size.upperBound) for size in array.shapeRange.sizeRanges]
    return list(array.shape), ranges, sorted(list(each.shape) for each in array.enumeratedShapes.shapes)


def _wanted_shapes(name: str, shapes: Shapes) -> tuple[Any, ...]:
    default = list(input_shape(name, shapes.longest))
    if shapes.kind == "range":
        ends = [input_shape(name, length) for length in shapes.lengths]
        return default, list(zip(*ends, strict=True)), []
    listed = [list(input_shape(name, length)) for length in shapes.lengths]
    return default, [], listed if shapes.kind == "enum" else []


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
    asked = quantize or "float32"
    for operation in function.operations:
        if operation.op_type.startswith("constexpr_") and operation.op_type not in _WAYS[quantize]:
            raise BundleError(
                f"The weight {operation.name} is compressed ({operation.op_type}) but {asked} was asked. "
                "Convert it again."
            )
    wanted = np.dtype(np.float32 if quantize is None else np.float16)
    for operation, value in constants(function):
        if value.dtype.kind != "f" or value.size <= _WEIGHT_ELEMENTS:
            continue
        if _WAYS[quantize] and value.ndim == _MATRIX:
            raise BundleError(
                f"The weight {operation.name} was not compressed to {asked}. Export as float16."
            )
        if value.dtype != wanted:
            raise BundleError(
                f"The weight {operation.name} is {value.dtype} but {wanted} was asked; coremltools keeps "
                "what does not fit. Export as float32, or find what made it so large."
            )


def _check_labels(spec: Any, labels: list[str]) -> None:
    said, expected = spec.description.metadata.userDefined.get("labels"), json.dumps(labels)
    if said != expected:
        raise BundleError(
            f"The package names the labels {said}, the checkpoint {expected}. Convert it again."
        )


def _check_vocabulary(path: Path, vocabulary: tuple[str, ...]) -> None:
    found = read_vocabulary(path, len(vocabulary), BundleError)
    for line, (ours, theirs) in enumerate(zip(found, vocabulary, strict=True), start=1):
        if ours != theirs:
            raise BundleError(
                f"Line {line} of {path.name} is {ours!r}, and the checkpoint has {theirs!r} there; ids would "
                "mean other tokens. Export it again."
            )
