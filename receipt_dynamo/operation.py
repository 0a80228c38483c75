"""The sans-IO protocol: an operation is a generator of requests; paging over it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Self, TypeAlias, TypeVar

from receipt_dynamo.errors import InvalidItem
from receipt_dynamo.skipped import note_skipped
from receipt_dynamo.types import Item

T = TypeVar("T")

Call: TypeAlias = Literal[
    "get_item", "put_item", "update_item", "delete_item", "query", "batch_write_item", "transact_write_items"
]


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


class ResultPage(_Pair[T]):
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


Response: TypeAlias = dict[str, Any]
Operation: TypeAlias = Generator[Request | Pause, Response, T]


def read_pages(
    request: Request, read: Callable[[Item], T], limit: int | None, last_evaluated_key: Item | None
) -> Operation[ResultPage[T]]:
    """Return up to `limit` entries (all when None), and the key to continue from when there may be more.

    `read` raises `InvalidItem` for an item that is to be left out.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}. Pass a number from 1 on, or None for everything.")
    found: list[T] = []
    skipped: list[InvalidItem] = []
    while True:
        # Asking for no more than is missing keeps the returned key exact: a page is never cut in the middle.
        missing = None if limit is None else limit - len(found)
        response = yield _page_of(request, missing, last_evaluated_key)
        for item in response["Items"]:
            try:
                found.append(read(item))
            except InvalidItem as error:
                note_skipped(error)
                skipped.append(error)
        last_evaluated_key = response.get("LastEvaluatedKey")
        if last_evaluated_key is None or len(found) == limit:
            return ResultPage(found, last_evaluated_key, skipped)


def read_all(request: Request, read: Callable[[Item], T]) -> Operation[ResultPage[T]]:
    """Return every entry of every page."""
    return read_pages(request, read, None, None)


def count_all(request: Request) -> Operation[int]:
    """Return the sum over every page of a counting query."""
    total = 0
    start: Item | None = None
    while True:
        response = yield _page_of(request, None, start)
        total += int(response["Count"])
        start = response.get("LastEvaluatedKey")
        if start is None:
            return total


def _page_of(request: Request, limit: int | None, start: Item | None) -> Request:
    arguments = dict(request.arguments)
    if limit is not None:
        arguments["Limit"] = limit
    if start is not None:
        arguments["ExclusiveStartKey"] = start
    return Request(request.call, arguments)
