"""Converts Python values to DynamoDB attribute values and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from receipt_dynamo.errors import InvalidValue
from receipt_dynamo.types import AttributeValue

# DynamoDB's own bounds for N; it refuses what lies outside with a message that names no attribute.
_LARGEST = Decimal("9.9999999999999999999999999999999999999E+125")
_SMALLEST = Decimal("1E-130")
_DIGITS = 38


def write_value(attribute: str, value: Any) -> AttributeValue:
    """Return `value` as an attribute value; raise `InvalidValue` naming `attribute` if it has no form."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | float | Decimal):
        return {"N": _write_number(attribute, value)}
    if isinstance(value, Mapping):
        return {
            "M": {_map_key(attribute, key): write_value(f"{attribute}.{key}", value[key]) for key in value}
        }
    if isinstance(value, list | tuple):
        return {"L": [write_value(f"{attribute}[{index}]", entry) for index, entry in enumerate(value)]}
    raise InvalidValue(
        attribute,
        f"is a {type(value).__name__}; convert it to a dict, list, str, bool, number or None first",
    )


def read_value(attribute: str, value: AttributeValue) -> Any:
    """Return an attribute value as Python; raise `InvalidValue` naming `attribute` if it is malformed."""
    if len(value) != 1:
        raise InvalidValue(attribute, f"must have exactly one type tag, not {sorted(value)}")
    ((tag, content),) = value.items()
    reader = _READERS.get(tag)
    if reader is None:
        raise InvalidValue(attribute, f"has the type {tag}; only M, L, S, N, BOOL and NULL are read")
    return reader(attribute, content)


def _map_key(attribute: str, key: object) -> str:
    if isinstance(key, str):
        return key
    raise InvalidValue(
        attribute, f"has the key {key!r}; DynamoDB maps take text keys only, write {str(key)!r}"
    )


def _write_number(attribute: str, value: float | Decimal) -> str:
    if not math.isfinite(value):
        raise InvalidValue(attribute, f"is {value}, which DynamoDB cannot hold; leave it out or write None")
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    fits = exact == 0 or _SMALLEST <= abs(exact) <= _LARGEST
    if not fits or _significant_digits(exact) > _DIGITS:
        raise InvalidValue(
            attribute, f"is {value}, which exceeds DynamoDB's 38 digits or its range 1E-130 to 9.9E+125"
        )
    return str(exact)


def _significant_digits(exact: Decimal) -> int:
    # Not `normalize()`: it rounds to the context's 28 digits.
    return len("".join(map(str, exact.as_tuple().digits)).strip("0"))


def _read_number(attribute: str, text: str) -> int | float:
    try:
        exact = Decimal(text)
    except (ArithmeticError, TypeError) as error:
        raise InvalidValue(attribute, f"is {text!r}, which is not a number") from error
    if not exact.is_finite():
        raise InvalidValue(attribute, f"is {text!r}, which is not a number")
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def _read_map(attribute: str, content: Mapping[str, AttributeValue]) -> dict[str, Any]:
    return {key: read_value(f"{attribute}.{key}", value) for key, value in content.items()}


def _read_list(attribute: str, content: list[AttributeValue]) -> list[Any]:
    return [read_value(f"{attribute}[{index}]", value) for index, value in enumerate(content)]


def _read_as_is(_attribute: str, content: Any) -> Any:
    return content


def _read_null(_attribute: str, _content: Any) -> None:
    return None


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "S": _read_as_is,
    "BOOL": _read_as_is,
    "N": _read_number,
    "NULL": _read_null,
    "M": _read_map,
    "L": _read_list,
}
