"""Constrained types of record fields."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

# Pydantic refuses typing's own TypedDict below Python 3.12.
from typing_extensions import TypedDict

from receipt_dynamo.clock import read_time

_UUID = r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[45][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$"


def _is_time(text: str) -> str:
    read_time(text)
    return text


def _drop_fraction(value: Any) -> Any:
    return int(value) if isinstance(value, float) and math.isfinite(value) else value


Uuid: TypeAlias = Annotated[str, StringConstraints(pattern=_UUID)]
"""A UUID of version 4 or 5, its letters' case kept: Apple's clients write capitals."""

Timestamp: TypeAlias = Annotated[str, AfterValidator(_is_time)]
"""ISO 8601 as it stands in the item, because keys hold it too; `times.read_time` makes it a moment."""

Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]

# Five digits is what the keys pad to: a longer id would sort wrongly and share prefixes with others.
Id: TypeAlias = Annotated[int, Field(ge=0, le=99_999)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Attempt: TypeAlias = Annotated[int, Field(ge=0)]
Epoch: TypeAlias = Annotated[int, Field(ge=0), BeforeValidator(_drop_fraction)]
"""Whole epochs that are done; a fraction is cut off, of a value that is given and of an older item's.

Other readers of the table take `int()` of the attribute, which fails for a fraction; `run.json` has them.
"""
Confidence: TypeAlias = Annotated[float, Field(gt=0, le=1)]

JobState: TypeAlias = Literal["pending", "running", "succeeded", "failed", "cancelled", "interrupted"]
ExportState: TypeAlias = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED"]
Priority: TypeAlias = Literal["low", "medium", "high", "critical"]
ValidationStatus: TypeAlias = Literal["NONE", "PENDING", "VALID", "INVALID", "NEEDS_REVIEW"]
LeaseKind: TypeAlias = Literal["train", "export"]
LeaseState: TypeAlias = Literal["free", "held", "decided", "closed"]
LeaseOutcome: TypeAlias = Literal["succeeded", "failed", "cancelled"]


class Point(TypedDict):
    """A corner, 0..1 on the image or the cropped receipt, origin bottom left."""

    x: float
    y: float


class BoundingBox(TypedDict):
    """A box, 0..1 on the cropped receipt; `x` and `y` are its bottom left corner."""

    x: float
    y: float
    width: float
    height: float


class LeaseProgress(TypedDict):
    """The progress of an attempt at a time; fields that do not apply to its stage are None."""

    attempt: int
    at: str
    stage: str
    message: str
    epoch: float | None
    step: int | None
    total_steps: int | None
    metrics: dict[str, float]


class LeaseFailure(TypedDict):
    """One attempt that failed; its class says whether it counts."""

    attempt: int
    error_class: str
    message: str
    at: str
    worker: str
