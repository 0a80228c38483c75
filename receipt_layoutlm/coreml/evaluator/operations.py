"""Computes each MIL operation of the exported graphs in torch.

Only the operations of these graphs are here, each only in the forms that they use: a table with a guess in it
would prove nothing. Numbers are float32, indices int64; the program rounds to the declared type.
Meanings: coremltools' documentation of its MIL operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class UnknownFormError(ValueError):
    """An operation is used in a way that the evaluator does not know."""


_GELU_FORMS = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}
_FLOATS, _INTEGERS = {"fp16", "fp32"}, {"int16", "uint16", "int32"}


def _cast(x: Tensor, dtype: str) -> Tensor:
    if dtype in _FLOATS:
        return x.float()
    if dtype in _INTEGERS and not x.is_floating_point():
        return x
    raise UnknownFormError(f"a cast of {x.dtype} to {dtype}")


def _concat(values: Sequence[Tensor], axis: Tensor, interleave: Tensor) -> Tensor:
    if interleave:
        raise UnknownFormError("interleave")
    return torch.cat([value.reshape(1) if value.ndim == 0 else value for value in values], int(axis))


def _expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + axes.numel()
    for axis in sorted(int(one) % rank for one in axes):
        x = x.unsqueeze(axis)
    return x


def _gather(
    x: Tensor, indices: Tensor, axis: Tensor, batch_dims: Tensor, validate_indices: Tensor | None = None
) -> Tensor:
    _ = validate_indices  # here an index out of range is always an error
    if batch_dims:
        raise UnknownFormError("batch_dims")
    at = int(axis) % x.ndim
    shape = x.shape[:at] + indices.shape + x.shape[at + 1 :]
    return x.index_select(at, indices.flatten()).reshape(shape)


def _gelu(x: Tensor, mode: str) -> Tensor:
    if mode not in _GELU_FORMS:
        raise UnknownFormError(f"the mode {mode}")
    return functional.gelu(x, approximate=_GELU_FORMS[mode])


def _layer_norm(x: Tensor, axes: Tensor, gamma: Tensor, beta: Tensor, epsilon: Tensor) -> Tensor:
    if [int(axis) % x.ndim for axis in axes] != [x.ndim - 1]:
        raise UnknownFormError(f"the axes {axes.tolist()}")
    return functional.layer_norm(x, x.shape[-1:], gamma, beta, float(epsilon))


def _matmul(x: Tensor, y: Tensor, transpose_x: Tensor, transpose_y: Tensor) -> Tensor:
    return torch.matmul(x.mT if transpose_x else x, y.mT if transpose_y else y)


def _reshape(x: Tensor, shape: Tensor) -> Tensor:
    sizes = shape.tolist()
    if 0 in sizes:
        raise UnknownFormError("a size of 0")
    return x.reshape(sizes)


def _slice_by_index(  # noqa: PLR0913, PLR0917 - the operation's own inputs
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    none = torch.zeros(x.ndim, dtype=torch.bool)
    from_start = none if begin_mask is None else begin_mask
    to_end = none if end_mask is None else end_mask
    squeeze = none if squeeze_mask is None else squeeze_mask
    chosen: list[slice | int] = []
    for axis in range(x.ndim):
        first = None if from_start[axis] else int(begin[axis])
        last = None if to_end[axis] else int(end[axis])
        chosen.append((first or 0) if squeeze[axis] else slice(first, last))
    return x[tuple(chosen)]


def _softmax(x: Tensor, axis: Tensor) -> Tensor:
    return x.softmax(int(axis))


def _transpose(x: Tensor, perm: Tensor) -> Tensor:
    return x.permute(perm.tolist())


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.linear(x, weight, bias)


def _maximum(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x, y)


def _minimum(x: Tensor, y: Tensor) -> Tensor:
    return torch.minimum(x, y)


def _select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(cond, a, b)


OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "add": lambda x, y: x + y,
    "cast": _cast,
    "concat": _concat,
    "expand_dims": _expand_dims,
    "gather": _gather,
    "gelu": _gelu,
    "greater_equal": lambda x, y: x >= y,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "matmul": _matmul,
    "maximum": _maximum,
    "minimum": _minimum,
    "mul": lambda x, y: x * y,
    "relu": lambda x: x.relu(),
    "reshape": _reshape,
    "select": _select,
    "shape": lambda x: torch.tensor(x.shape),
    "slice_by_index": _slice_by_index,
    "softmax": _softmax,
    "sub": lambda x, y: x - y,
    "transpose": _transpose,
}
"""Operation to what it computes of its inputs, which it takes by the names that MIL gives them."""

MOVES = frozenset({"expand_dims", "gather", "reshape", "slice_by_index", "transpose"})
"""Operations that compute no number: what they are given is rounded already."""


def to_tensor(value: Any) -> Tensor | str:
    """A constant as the operations take it: float32, int64 or bool; text stays text."""
    if isinstance(value, str):
        return value
    tensor = torch.as_tensor(value)
    if tensor.is_floating_point():
        return tensor.float()
    return tensor if tensor.dtype == torch.bool else tensor.long()
