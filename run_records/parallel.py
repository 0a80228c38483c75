"""`map_ahead`: a bounded, ordered, threaded map."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import TypeVar

THREADS = 8
_AHEAD = 4
"""Tasks for each thread that may be done or under way before their turn: bounds what is in memory."""

A = TypeVar("A")
B = TypeVar("B")


def map_ahead(call: Callable[[A], B], values: Iterable[A], threads: int) -> Iterator[B]:
    """Results of calls in threads, in the order of the values; only few are begun ahead of their turn."""
    remaining = iter(values)
    pending: deque[Future[B]] = deque()
    with ThreadPoolExecutor(threads) as pool:

        def submit(value: A) -> Future[B]:
            return pool.submit(copy_context().run, call, value)  # so that what calls note reaches the caller

        try:
            pending.extend(map(submit, islice(remaining, threads * _AHEAD)))
            while pending:
                yield pending.popleft().result()
                pending.extend(map(submit, islice(remaining, 1)))
        finally:
            for future in pending:
                future.cancel()
