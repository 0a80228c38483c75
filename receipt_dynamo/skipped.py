"""Malformed items of the table: left out of what is read, and reported once to the caller.

Other software writes to the same table, so one item that breaks its contract must not end what belongs to
all the others. Whoever reads for somebody collects what was left out and says it; else it is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice

from receipt_dynamo.errors import InvalidItem

NAMED = 3
"""So many of the items are named; of the others their number says enough."""

log = logging.getLogger(__name__)


class Skipped:
    """Items that were left out, each once, however often it was met."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], InvalidItem] = {}

    def add(self, error: InvalidItem) -> None:
        """Note one item."""
        self._found.setdefault((error.record_type, error.key), error)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[InvalidItem]:
        return iter(self._found.values())

    def __str__(self) -> str:
        """One sentence: the count, the first ones with their faults, and what to do."""
        count = len(self)
        said = [str(error) for error in islice(self, NAMED)]
        if count > NAMED:
            said.append(f"and {count - NAMED} more")
        some = "1 item of the table is no whole record and is" if count == 1 else None
        many = some or f"{count} items of the table are no whole records and are"
        return f"{many} left out: {'; '.join(said)}. Correct or delete such items."


_noting: ContextVar[Skipped | None] = ContextVar("skipped", default=None)


@contextmanager
def skipped_noted() -> Iterator[Skipped]:
    """Collect what is left out while the block runs, in this context and in copies of it."""
    skipped = Skipped()
    token = _noting.set(skipped)
    try:
        yield skipped
    finally:
        _noting.reset(token)


def skipped_so_far() -> Skipped:
    """The items collected in this context; none where no collector is open."""
    return _noting.get() or Skipped()


def note_skipped(error: InvalidItem) -> None:
    """Tell whoever collects that an item is left out, or the log."""
    skipped = _noting.get()
    if skipped is None:
        log.warning("an item of the table is left out: %s", error)
    else:
        skipped.add(error)
