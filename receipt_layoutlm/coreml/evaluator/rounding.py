"""Makes a value what its declared type can hold, since a phone keeps each intermediate value in that type."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


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
