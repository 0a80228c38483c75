"""The inputs and outputs of an exported model, for each choice of shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from messages.export_options import Shapes
from receipt_layoutlm.coreml.coremltools_import import ct
from receipt_layoutlm.coreml.model import INPUT_NAMES

OUTPUT_NAME = "logits"
_CORNERS = 4


@dataclass(frozen=True, slots=True)
class Target:
    """The oldest systems that load a model.

    Attributes:
        ios, macos: their versions.
        specification_version: CoreML's number for that generation.
        deployment: coremltools' name for it.
    """

    ios: str
    macos: str
    specification_version: int
    deployment: Any


_PLAIN = Target("16", "13", 7, ct.target.iOS16)
# Before iOS 18 only one input of a model could have a list of shapes, and here all four have one.
_SEVERAL_ENUMERATED = Target("18", "15", 9, ct.target.iOS18)


def target_of(shapes: Shapes) -> Target:
    """The systems that a model of these shapes needs."""
    return _SEVERAL_ENUMERATED if shapes.kind == "enum" else _PLAIN


def input_types(shapes: Shapes) -> list[Any]:
    """The four int32 inputs as coremltools takes them, with the longest length as their default."""
    return [ct.TensorType(name=name, shape=_declare(name, shapes), dtype=np.int32) for name in INPUT_NAMES]


def output_types() -> list[Any]:
    """The one float32 output as coremltools takes it."""
    return [ct.TensorType(name=OUTPUT_NAME, dtype=np.float32)]


def input_shape(name: str, length: Any) -> tuple[Any, ...]:
    """[1, n], and [1, n, 4] for the boxes; `length` is what stands for n."""
    return (1, length, _CORNERS) if name == "bbox" else (1, length)


def _declare(name: str, shapes: Shapes) -> Any:
    if shapes.kind == "range":
        first, last = shapes.lengths
        return input_shape(name, ct.RangeDim(first, last, default=last))
    if shapes.kind == "fixed":
        return input_shape(name, shapes.longest)
    each = [input_shape(name, length) for length in shapes.lengths]
    return ct.EnumeratedShapes(each, default=each[-1])
