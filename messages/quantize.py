"""The weight formats of an exported model, a word of both requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator


def _float32_is_null(value: Any) -> Any:
    # The command line has no null; "none" and "float32" say the same.
    return None if value in {"none", "float32"} else value


def _hashable(value: Any) -> Any:
    return _float32_is_null(value) if isinstance(value, str) else value


Quantize = Annotated[Literal["float16", "int8", "int4"] | None, BeforeValidator(_hashable)]
