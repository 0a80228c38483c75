"""Matches the package's parameters with the model's, compares them, and builds the reference model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LayoutLMForTokenClassification

from messages.export_options import Quantize
from receipt_layoutlm.coreml.evaluator import Program
from receipt_layoutlm.coreml.model import ExportableLayoutLM
from receipt_layoutlm.coreml.verify.verification_json import Gate, Number, require, three_digits
from receipt_layoutlm.errors import BundleError

_POSITIONS = "embeddings.position_embeddings.weight"
_ADDED = ("_quantized", "_palettized", "_to_fp16")  # the last first
_SMALLEST_NORMAL = 2.0**-14
"""Smallest normal float16. Smaller numbers have ever fewer digits, and they change no logit."""


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


LIMITS: Mapping[Quantize, float] = {None: 0.0, "float16": 1e-3, "int8": 1.5e-2, "int4": 0.15}
"""Largest relative L2 error of a parameter."""


def check_weights(matches: Sequence[Match], quantize: Quantize) -> Gate:
    """Hold each matched constant to its parameter.

    Raises:
        BundleError: with the parameter, the constant and the error.
    """
    worst = max(matches, key=lambda match: match.error if match.error == match.error else float("inf"))
    where = f"{worst.parameter}, stored as {worst.constant}"
    number = Number(
        name="relative L2 error of a parameter",
        value=three_digits(worst.error),
        at_most=LIMITS[quantize],
        at=where,
    )
    require(number, "The package holds other weights than the checkpoint; convert it again.")
    return Gate(
        name="weights",
        numbers=(Number(name="parameters", value=len(matches)), number),
        where=where,
        sentence=f"Each of {len(matches)} parameters is stored; the largest relative error is "
        f"{number.value:g}, of {worst.parameter}.",
    )


_SMALLEST = 2.0**-24
"""Smallest positive float16; coremltools stores a smaller constant as this number rather than as 0."""


def copy_back(
    model: LayoutLMForTokenClassification, matches: Sequence[Match], quantize: Quantize
) -> LayoutLMForTokenClassification:
    """Build a model with the stored weights instead of the checkpoint's.

    The two numbers of the graph that are no parameters, the scale of attention and the epsilon of layer
    norms, become what they have to be in the package's format. All others are whole.
    """
    parameters = dict(ExportableLayoutLM(model).named_parameters())
    # The copy takes the stored weights as they are in memory, where filling one would hold them twice.
    replaced = {
        id(parameters[match.parameter]): _fill(parameters[match.parameter], match) for match in matches
    }
    copied = copy.deepcopy(model, replaced)
    if quantize is not None:
        for module in copied.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = max(_as_float16(module.eps), _SMALLEST)
        for layer in copied.layoutlm.encoder.layer:
            layer.attention.self.scaling = _as_float16(layer.attention.self.scaling)
    return copied


def _fill(parameter: nn.Parameter, match: Match) -> nn.Parameter:
    """The stored numbers; rows that a fixed length never uses, and that are not stored, stay as they are."""
    rest = parameter.detach()[len(match.value) :]
    return nn.Parameter(torch.cat([match.value, rest]) if len(rest) else match.value, requires_grad=False)


def _as_float16(number: float) -> float:
    return float(np.float16(number))
