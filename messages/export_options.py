"""The two text options of an export, `quantize` and `shapes`, and how they are parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from messages.errors import Fault, InvalidMessage, shorten

MAX_TOKENS = 512
"""Most tokens that clients send."""
_LEAST = 3  # [CLS], a word, [SEP]
SHAPES_PATTERN = r"^(range|fixed:[0-9]{1,3}|enum:[0-9]{1,3}(,[0-9]{1,3})+)$"
_FORMS = (
    f"must be range, fixed:N or enum:N,N,... with N in {_LEAST}..{MAX_TOKENS}, such as enum:64,128,256,512"
)


@dataclass(frozen=True, slots=True)
class Shapes:
    """The lengths n of the inputs [1, n].

    Attributes:
        kind: every length of a range, one fixed length, or each of a few.
        lengths: ascending; for a range its first and its last.
    """

    kind: Literal["range", "fixed", "enum"] = "range"
    lengths: tuple[int, ...] = (1, MAX_TOKENS)

    def __str__(self) -> str:
        return self.kind if self.kind == "range" else f"{self.kind}:{','.join(map(str, self.lengths))}"

    @property
    def slug(self) -> str:
        """As a folder is called: `fixed-128`."""
        return re.sub(r"[:,]", "-", str(self))

    @property
    def longest(self) -> int:
        """The greatest length, and the one that the model declares as its default."""
        return self.lengths[-1]

    def accepts(self, length: int) -> bool:
        """Whether inputs of this length can be given to the model as they are."""
        if self.kind == "range":
            return self.lengths[0] <= length <= self.lengths[1]
        return length in self.lengths

    def fit(self, length: int) -> int:
        """The least length of the model that `length` tokens fit into; more than `longest` never do."""
        if self.kind == "range":
            return max(length, self.lengths[0])
        return next((one for one in self.lengths if one >= length), self.longest)


RANGE = Shapes()


def _read(value: Any) -> Shapes:
    if isinstance(value, Shapes):
        return value
    if not isinstance(value, str) or not re.fullmatch(SHAPES_PATTERN, value):
        raise ValueError(_FORMS)
    kind, _, numbers = value.partition(":")
    if kind == "range":
        return RANGE
    lengths = tuple(sorted({int(number) for number in numbers.split(",")}))
    if not all(_LEAST <= length <= MAX_TOKENS for length in lengths):
        raise ValueError(_FORMS)
    # One length that was listed twice is a fixed one; coremltools has no enumeration of one.
    return Shapes("fixed" if len(lengths) == 1 else "enum", lengths)


ShapesText: TypeAlias = Annotated[
    Shapes,
    BeforeValidator(_read),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": SHAPES_PATTERN}),
]
"""In a message the shapes are text; a program reads them as `Shapes`."""


def parse_shapes(text: str) -> Shapes:
    """Read shapes as people type them.

    Raises:
        InvalidMessage: they are of no such form.
    """
    try:
        return _read(text)
    except ValueError as error:
        raise InvalidMessage("export", [Fault("shapes", f"{error}, not {shorten(text)}")]) from error


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
