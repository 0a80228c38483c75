"""Float16 rounding and compressed weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from receipt_layoutlm.coreml.evaluator.operations import UnknownFormError


def _fit(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    limits = torch.iinfo(dtype)

    def check(value: Tensor) -> Tensor:
        if value.numel() and not limits.min <= value.min() <= value.max() <= limits.max:
            raise OverflowError(f"a value of {value.min()}..{value.max()} in {dtype}")
        return value

    return check


ROUNDINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "FLOAT32": lambda value: value,
    "FLOAT16": lambda value: value.half().float(),
    "INT32": _fit(torch.int32),
    "INT16": _fit(torch.int16),
    "UINT16": _fit(torch.uint16),
    "BOOL": lambda value: value,
}
"""Declared type to what keeps of a value what that type can hold; an integer must fit as it is."""
EXACT: Mapping[str, Callable[[Tensor], Tensor]] = {**ROUNDINGS, "FLOAT16": lambda value: value}
"""The same without the rounding of numbers."""

Array = npt.NDArray[Any]


def _affine_dequantize(quantized_data: Array, zero_point: Array, scale: Array, axis: Array) -> Array:
    """(data - zero point) * scale, one pair for each place along the axis (iOS 16)."""

    def along_axis(values: Array) -> Array:
        shape = [1] * quantized_data.ndim
        if values.ndim:
            shape[int(axis)] = -1
        return values.astype(np.float32).reshape(shape)

    return (quantized_data.astype(np.float32) - along_axis(zero_point)) * along_axis(scale)


def _blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    """(data - offset) * scale, each scale for a block of the data (iOS 18)."""
    spread = [values for values in (scale, offset) if values is not None]
    for axis, size in enumerate(data.shape):
        spread = [values.repeat(size // values.shape[axis], axis) for values in spread]
    numbers = data.astype(np.float32)
    shifted = numbers if offset is None else numbers - spread[1].astype(np.float32)
    return shifted * spread[0].astype(np.float32)


def _lut_to_dense(indices: Array, lut: Array, shape: Array | None = None) -> Array:
    """Each index replaced by its entry of the one table.

    For iOS 16 the indices are packed bits, the lowest first, and `shape` says what they fill; for iOS 18
    they have the weight's shape, and the table one axis for each of its axes.
    """
    if shape is None:
        if lut.size != lut.shape[-2]:
            raise UnknownFormError(f"several tables ({list(lut.shape)})")
        return lut.reshape(-1).astype(np.float32)[indices.astype(np.uint8)]
    bits, count = int(lut.size).bit_length() - 1, int(np.prod(shape))
    unpacked = np.unpackbits(indices, count=count * bits, bitorder="little").reshape(count, bits)
    numbers = np.packbits(unpacked, axis=1, bitorder="little")[:, 0]
    return lut.astype(np.float32)[numbers].reshape(shape.astype(int))


DECOMPRESSIONS: Mapping[str, Callable[..., Array]] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "constexpr_lut_to_dense": _lut_to_dense,
}
"""Compressed constant to its numbers in float32, to be rounded to the declared type."""
