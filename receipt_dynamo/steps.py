"""The language between what an operation wants and whoever sends it, so that each operation is written once.

An operation is a generator: it yields requests and pauses, is sent each response, and returns its result. The
clients for threads and for asyncio differ only in how they send and wait.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Self, TypeAlias, TypeVar

from receipt_dynamo.errors import InvalidItem
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


class _Pair(NamedTuple, Generic[T]):
    items: list[T]
    last_evaluated_key: Item | None


class Page(_Pair[T]):
    """A list call's answer, a pair; `last_evaluated_key` continues it and is None at the end.

    Attributes:
        skipped: what is wrong with the items that no record could be made of; they are not among `items`.
    """

    skipped: tuple[InvalidItem, ...] = ()

    def __new__(
        cls, items: list[T], last_evaluated_key: Item | None, skipped: Iterable[InvalidItem] = ()
    ) -> Self:
        """Make a pair, and keep beside it what was left out."""
        page = tuple.__new__(cls, (items, last_evaluated_key))
        page.skipped = tuple(skipped)
        return page


class Found(list[T]):
    """A list of all entries that were asked for.

    Attributes:
        skipped: what is wrong with the items that no record could be made of; they are not in the list.
    """

    def __init__(self, items: Iterable[T] = (), skipped: Iterable[InvalidItem] = ()) -> None:
        super().__init__(items)
        self.skipped = tuple(skipped)


Response: TypeAlias = dict[str, Any]
Steps: TypeAlias = Generator[Request | Pause, Response, T]
