"""The operators and functions of DynamoDB's expressions, on items in DynamoDB JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

Value: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, Value]


class Scope(NamedTuple):
    """What an expression is evaluated on; `names` and `values` are the placeholders' meanings."""

    item: Item
    names: Mapping[str, str]
    values: Mapping[str, Value]


Path: TypeAlias = tuple[str, ...]
Test: TypeAlias = Callable[[Scope], bool]
Operand: TypeAlias = Callable[[Scope], "Value | None"]


class WrongExpression(Exception):  # noqa: N818 - reads as what it is
    """DynamoDB's ValidationException."""


def _number(value: Value) -> Decimal:
    return Decimal(value["N"])


def compare(left: Value | None, right: Value | None, test: Callable[[Any, Any], bool]) -> bool:
    """Compare two values of one type; values of different types, or a missing one, never compare."""
    if left is None or right is None or left.keys() != right.keys():
        return False
    (tag,) = left
    if tag == "N":
        return test(_number(left), _number(right))
    return test(left[tag], right[tag])


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: bool(left == right),
    "<>": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
}


def lookup(item: Item, path: Path) -> Value | None:
    """Return what stands at a path, or None."""
    found = item.get(path[0])
    for name in path[1:]:
        found = (found or {}).get("M", {}).get(name)
    return found


def add(left: Value | None, right: Value | None) -> Value:
    if left is None or right is None:
        raise WrongExpression("an operand of + does not exist")
    return {"N": str(_number(left) + _number(right))}


def _begins_with(path: Operand, prefix: Operand) -> Test:
    def test(scope: Scope) -> bool:
        found, start = path(scope), prefix(scope)
        return found is not None and start is not None and str(found.get("S", "")).startswith(start["S"])

    return test


def _attribute_type(path: Operand, tag: Operand) -> Test:
    def test(scope: Scope) -> bool:
        found, wanted = path(scope), tag(scope)
        return found is not None and wanted is not None and wanted["S"] in found

    return test


def _append(left: Operand, right: Operand) -> Operand:
    def value(scope: Scope) -> Value:
        first, second = left(scope), right(scope)
        if first is None or second is None:
            raise WrongExpression("an operand of list_append does not exist")
        return {"L": [*first["L"], *second["L"]]}

    return value


def _if_not_exists(path: Operand, other: Operand) -> Operand:
    def value(scope: Scope) -> Value | None:
        found = path(scope)
        return other(scope) if found is None else found

    return value


FUNCTIONS: dict[str, Callable[..., Test]] = {
    "attribute_exists": lambda path: lambda scope: path(scope) is not None,
    "attribute_not_exists": lambda path: lambda scope: path(scope) is None,
    "attribute_type": _attribute_type,
    "begins_with": _begins_with,
}
PRODUCERS: dict[str, Callable[..., Operand]] = {"if_not_exists": _if_not_exists, "list_append": _append}
