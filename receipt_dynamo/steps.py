"""The language between what an operation wants and whoever sends it, so that each operation is written once.

An operation is a generator: it yields requests and pauses, is sent each response, and returns its result. The
clients for threads and for asyncio differ only in how they send and wait.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from receipt_dynamo.values import Item

T = TypeVar("T")

Call: TypeAlias = Literal["get_item", "put_item", "update_item", "delete_item", "query", "batch_write_item"]


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a DynamoDB client: the method's name and its arguments, as plain data."""

    call: Call
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait before the next request."""

    seconds: float


class Page(NamedTuple, Generic[T]):
    """A list call's answer; `last_evaluated_key` continues it and is None at the end."""

    items: list[T]
    last_evaluated_key: Item | None


Response: TypeAlias = dict[str, Any]
Steps: TypeAlias = Generator[Request | Pause, Response, T]
