"""Adding, updating and deleting any one kind of record, and writing many of a kind at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import uniform
from typing import Final, TypeVar

from receipt_dynamo.entities import Record
from receipt_dynamo.errors import AlreadyExists, ConditionFailed, NotFound, Throttled
from receipt_dynamo.operation import Operation, Pause, Request
from receipt_dynamo.requests import records
from receipt_dynamo.types import Item

R = TypeVar("R", bound=Record)

BATCH_TRIES: Final = 8
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 5.0


def adding(kind: type[R]) -> Callable[[str, R], Operation[None]]:
    """Return the operation that adds one record of `kind`; it raises `AlreadyExists`."""

    def add(table: str, record: R) -> Operation[None]:
        try:
            yield records.add_record(table, record)
        except ConditionFailed as refused:
            raise AlreadyExists(
                f"{_name(record)} exists already in {table}. Update it, or give the new record its own id.",
                refused.item,
            ) from refused

    return _documented(add, f"Add one {kind.__name__}; raise `AlreadyExists` if its key is taken.")


def updating(kind: type[R]) -> Callable[[str, R], Operation[None]]:
    """Return the operation that sets every attribute of one record of `kind`; it raises `NotFound`."""

    def update(table: str, record: R) -> Operation[None]:
        try:
            yield records.update_record(table, record)
        except ConditionFailed as refused:
            raise _missing(table, record) from refused

    return _documented(
        update, f"Set every attribute of one {kind.__name__}; raise `NotFound` if it is absent."
    )


def deleting(kind: type[R]) -> Callable[[str, R], Operation[None]]:
    """Return the operation that deletes one record of `kind`; it raises `NotFound`."""

    def delete(table: str, record: R) -> Operation[None]:
        try:
            yield records.delete_record(table, record)
        except ConditionFailed as refused:
            raise _missing(table, record) from refused

    return _documented(delete, f"Delete one {kind.__name__}; raise `NotFound` if it is absent.")


def adding_many(kind: type[R]) -> Callable[[str, Sequence[R]], Operation[None]]:
    """Return the operation that writes many records of `kind`, replacing what stands under their keys."""

    def add_many(table: str, batch: Sequence[R]) -> Operation[None]:
        for request in records.batch_put(table, [record.to_item() for record in batch]):
            yield from write_batch(request)

    return _documented(
        add_many,
        f"Write many {kind.__name__} records, 25 a request; raise `Throttled` if some stay unwritten.",
    )


def write_batch(request: Request) -> Operation[None]:
    """Send a batch again with what came back unprocessed, more and more slowly, until all is written."""
    left: dict[str, list[Item]] = {}
    for attempt in range(BATCH_TRIES):
        if attempt:
            longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt)
            yield Pause(uniform(0, longest))  # noqa: S311 - full jitter, nothing secret
        response = yield request
        left = response.get("UnprocessedItems") or {}
        if not left:
            return
        request = Request(request.call, {"RequestItems": left})
    remaining = sum(map(len, left.values()))
    raise Throttled(
        f"{remaining} items of a batch for {', '.join(left)} are unwritten after {BATCH_TRIES} tries. Write"
        " them again later; the others are stored."
    )


def _missing(table: str, record: Record) -> NotFound:
    return NotFound(f"{_name(record)} does not exist in {table}. Add it first, or check its id.")


def _name(record: Record) -> str:
    keys = record.keys()
    return f"{record.TYPE} {keys['PK']} / {keys['SK']}"


F = TypeVar("F", bound=Callable[..., object])


def _documented(operation: F, text: str) -> F:
    operation.__doc__ = text
    return operation
