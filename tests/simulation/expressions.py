"""DynamoDB's expressions, compiled to functions: of the grammar what our requests use, and no more.

What is unknown raises, so that a request in a new form fails here instead of being understood wrongly.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from tests.simulation.operators import (
    COMPARISONS,
    FUNCTIONS,
    PRODUCERS,
    Item,
    Operand,
    Path,
    Scope,
    Test,
    Value,
    WrongExpression,
    add,
    compare,
    lookup,
)


class Action(NamedTuple):
    """One change of an update; `value` is None where an attribute is removed."""

    path: Path
    value: Operand | None


_TOKEN = re.compile(r"\s*(#\w+|:\w+|<=|>=|<>|[=<>(),.+\-]|[A-Za-z_]\w*)", re.ASCII)


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise WrongExpression(f"cannot read {text[at:]!r}")
        found.append(match.group(1))
        at = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self._left = _tokens(text)[::-1]

    @property
    def next(self) -> str:
        return self._left[-1] if self._left else ""

    def take(self, wanted: str | None = None) -> str:
        if not self._left or wanted not in {None, self._left[-1]}:
            raise WrongExpression(f"expected {wanted}, found {self.next!r}")
        return self._left.pop()

    def condition(self) -> Test:
        tests = [self._conjunction()]
        while self.next == "OR":
            self.take()
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda scope: any(test(scope) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._negation()]
        while self.next == "AND":
            self.take()
            tests.append(self._negation())
        return tests[0] if len(tests) == 1 else lambda scope: all(test(scope) for test in tests)

    def _negation(self) -> Test:
        if self.next == "NOT":
            self.take()
            inner = self._negation()
            return lambda scope: not inner(scope)
        if self.next == "(":
            self.take()
            inner = self.condition()
            self.take(")")
            return inner
        if self.next in FUNCTIONS:
            return FUNCTIONS[self.take()](*self._arguments())
        return self._comparison()

    def _comparison(self) -> Test:
        left = self.operand()
        test = COMPARISONS.get(self.take())
        if test is None:
            raise WrongExpression(f"no comparison before {self.next!r}")
        right = self.operand()
        return lambda scope: compare(left(scope), right(scope), test)

    def _arguments(self) -> list[Operand]:
        self.take("(")
        found = [self.operand()]
        while self.next == ",":
            self.take()
            found.append(self.operand())
        self.take(")")
        return found

    def operand(self) -> Operand:
        token = self.take()
        if token.startswith(":"):
            return lambda scope: scope.values[token]
        if token in PRODUCERS:
            return PRODUCERS[token](*self._arguments())
        path = self._path(token)
        return lambda scope: lookup(scope.item, tuple(scope.names[name] for name in path))

    def _path(self, first: str) -> Path:
        if not first.startswith("#"):
            raise WrongExpression(f"{first!r} is no placeholder of a name")
        path = [first]
        while self.next == ".":
            self.take()
            path.append(self.take())
        return tuple(path)

    def actions(self) -> list[Action]:
        found: list[Action] = []
        while self.next:
            clause = self.take()
            if clause not in {"SET", "REMOVE"}:
                raise WrongExpression(f"unknown clause {clause!r}")
            found.append(self._action(clause))
            while self.next == ",":
                self.take()
                found.append(self._action(clause))
        return found

    def _action(self, clause: str) -> Action:
        path = self._path(self.take())
        if clause == "REMOVE":
            return Action(path, None)
        self.take("=")
        left = self.operand()
        if self.next != "+":
            return Action(path, left)
        self.take()
        right = self.operand()
        return Action(path, lambda scope: add(left(scope), right(scope)))

    def end(self) -> None:
        if self._left:
            raise WrongExpression(f"{self.next!r} is too much")


@cache
def compile_condition(text: str) -> Test:
    """Return the test that a condition, key condition or filter describes."""
    parser = _Parser(text)
    test = parser.condition()
    parser.end()
    return test


@cache
def compile_update(text: str) -> tuple[Action, ...]:
    """Return the changes that an update expression describes."""
    parser = _Parser(text)
    actions = parser.actions()
    parser.end()
    return tuple(actions)


@cache
def placeholders(*expressions: str) -> frozenset[str]:
    """Return every `#name` and `:value` that the expressions use."""
    return frozenset(token for text in expressions for token in _tokens(text) if token[0] in "#:")


def apply(actions: tuple[Action, ...], scope: Scope) -> Item:
    """Return the item after an update; every value is computed from the item before it."""
    item = dict(scope.item)
    for action in actions:
        path = tuple(scope.names[name] for name in action.path)
        value = None if action.value is None else action.value(scope)
        if action.value is not None and value is None:
            raise WrongExpression(f"what {'.'.join(path)} shall be set to does not exist")
        _put(item, path, value)
    return item


def _put(item: Item, path: Path, value: Value | None) -> None:
    holder = item
    for name in path[:-1]:
        if "M" not in holder.get(name, {}):
            raise WrongExpression(f"{'.'.join(path)} has no map to stand in")
        holder[name] = {"M": dict(holder[name]["M"])}
        holder = holder[name]["M"]
    if value is None:
        holder.pop(path[-1], None)
    else:
        holder[path[-1]] = value
