"""Following pages and reading their items, so that no list call does it by itself.

An item that no record can be made of is left out, here for all list calls: it is other software's, or
damaged, and the records beside it are none the worse for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from receipt_dynamo.errors import InvalidItem
from receipt_dynamo.skipped import note_skipped
from receipt_dynamo.steps import Found, Page, Request, Steps
from receipt_dynamo.values import Item

T = TypeVar("T")


def read_pages(
    request: Request, read: Callable[[Item], T], limit: int | None, last_evaluated_key: Item | None
) -> Steps[Page[T]]:
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
            return Page(found, last_evaluated_key, skipped)


def read_all(request: Request, read: Callable[[Item], T]) -> Steps[Found[T]]:
    """Return every entry of every page."""
    page = yield from read_pages(request, read, None, None)
    return Found(page.items, page.skipped)


def count_all(request: Request) -> Steps[int]:
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
