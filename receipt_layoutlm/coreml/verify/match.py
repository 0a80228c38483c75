"""Finds each parameter of the checkpoint among the constants of a program.

coremltools names a constant after the parameter that it was traced from (torch.export writes the name in
lower case behind `p_`) and adds what it did to it. Two kinds have no such name: equal constants are stored
once, under the name of the first, and the position table of a fixed length is folded into the rows that are
used. These are matched by shape and content: the constant that fits is the one with the least error.

No match can hide a fault: the gate weights holds each matched constant to its parameter, and the gate
structure holds the program to a model with these very constants in these very places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LayoutLMForTokenClassification

from receipt_layoutlm.coreml.evaluator import Program
from receipt_layoutlm.coreml.model import ExportableLayoutLM
from receipt_layoutlm.errors import BundleError

_POSITIONS = "embeddings.position_embeddings.weight"
_ADDED = ("_quantized", "_palettized", "_to_fp16")  # the last first
_SMALLEST_NORMAL = 2.0**-14
"""Of float16. Below it float16 has ever fewer digits, and such numbers move no logit."""


@dataclass(frozen=True, slots=True)
class Match:
    """A parameter and the constant that holds it.

    Attributes:
        parameter: its name in the exported model, such as `classifier.weight`.
        constant: name of the constant.
        value: the constant's numbers, float32 in the parameter's shape, or in that of its first rows.
        error: relative L2 error against the checkpoint.
    """

    parameter: str
    constant: str
    value: Tensor
    error: float


def match_parameters(program: Program, model: LayoutLMForTokenClassification) -> tuple[Match, ...]:
    """Match every parameter of the exported part of a model.

    Raises:
        BundleError: no constant of the program has a parameter's shape.
    """
    stored = {
        name: value
        for name, value in program.constants.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    named = {_stem(name): name for name in stored}
    return tuple(
        _match(name, parameter.detach(), stored, named)
        for name, parameter in ExportableLayoutLM(model).named_parameters()
    )


def relative_error(stored: Tensor, parameter: Tensor) -> float:
    """L2 norm of the difference by that of the parameter; NaN where either holds one."""
    least = _SMALLEST_NORMAL * parameter.numel() ** 0.5
    size = torch.linalg.vector_norm(parameter).clamp(min=least)
    return float(torch.linalg.vector_norm(stored - parameter) / size)


def _match(name: str, parameter: Tensor, stored: Mapping[str, Tensor], named: Mapping[str, str]) -> Match:
    own = named.get(name.replace(".", "_").lower())
    if own is not None and stored[own].shape == parameter.shape:
        return Match(name, own, stored[own], relative_error(stored[own], parameter))
    found = [
        Match(name, other, value, relative_error(value, parameter[: len(value)]))
        for other, value in _candidates(name, parameter, stored)
    ]
    if not found:
        raise BundleError(
            f"No constant has the shape {list(parameter.shape)} of {name}. Convert the checkpoint again."
        )
    return min(found, key=lambda match: match.error)


def _candidates(name: str, parameter: Tensor, stored: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for other, value in stored.items():
        if value.shape == parameter.shape:
            yield other, value
        elif name == _POSITIONS and _are_first_rows(value, parameter):
            yield other, value[0]


def _are_first_rows(value: Tensor, table: Tensor) -> bool:
    rows, width = table.shape
    return value.ndim == 3 and value.shape[::2] == (1, width) and value.shape[1] <= rows  # noqa: PLR2004 - [1, n, width]


def _stem(constant: str) -> str:
    name = constant.lower().removeprefix("p_")
    for added in _ADDED:
        name = name.removesuffix(added)
    return name
