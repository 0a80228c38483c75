"""The weight formats of an exported model, a word of both requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic import BeforeValidator

from messages.errors import Fault, InvalidMessage


def _read_float32(value: Any) -> Any:
    # The command line has no null; "none" and "float32" say the same.
    return None if isinstance(value, str) and value in {"none", "float32"} else value


Quantize: TypeAlias = Annotated[Literal["float16", "int8", "int4"] | None, BeforeValidator(_read_float32)]
_QUANTIZE: pydantic.TypeAdapter[Literal["float16", "int8", "int4"] | None] = pydantic.TypeAdapter(
    Quantize, config=pydantic.ConfigDict(defer_build=True)
)


def parse_quantize(text: str) -> Literal["float16", "int8", "int4"] | None:
    """Read a weight format as people type it; None is float32.

    Raises:
        InvalidMessage: there is no such format.
    """
    try:
        return _QUANTIZE.validate_python(text)
    except pydantic.ValidationError as error:
        fault = Fault("quantize", f"must be float16, int8, int4 or float32, not {text!r}")
        raise InvalidMessage("export", [fault]) from error
