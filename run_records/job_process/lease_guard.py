"""Ends the child when its lease lapses, by a deadline that the daemon sends through stdin."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from messages.child_protocol import ChildExit
from receipt_dynamo.clock import steady_seconds

LOOK_SECONDS = 1.0
"""Seconds between checks of the clock; a timer set before the host slept fires late by that sleep."""

_STDERR = 2


def watch_lease(descriptor: int = 0) -> LeaseGuard:
    """Start the watching thread; standard input must be the daemon's pipe.

    Returns:
        The guard, to be asked before each write: a process that was frozen may wake up in any thread first.
    """
    guard = LeaseGuard(descriptor)
    threading.Thread(target=guard.watch, name="lease-guard", daemon=True).start()
    return guard


class LeaseGuard:
    """Follows the lease deadlines that the daemon sends, and ends this process when the last one has passed.

    Args:
        descriptor: the pipe with the daemon's lines.
        steady: the clock that the daemon uses.
    """

    def __init__(self, descriptor: int, steady: Callable[[], float] = steady_seconds) -> None:
        self._descriptor = descriptor
        self._steady = steady
        self._safe_until: float | None = None
        self._unread = b""
        self._listening = threading.Lock()

    def check(self) -> None:
        """Hear what the daemon has said so far; end the process if the job is not surely ours.

        Waits for its first word: a daemon that was frozen as soon as it had started us has not said it.
        """
        with self._listening:
            while self._can_hear(None if self._safe_until is None else 0.0):
                self._hear(os.read(self._descriptor, 4096))
            if self._left_seconds() <= 0:
                _leave("the lease was not renewed in time")

    def watch(self) -> NoReturn:
        """Check whenever the daemon speaks, when the time is up, and each second."""
        try:
            while True:
                self.check()
                self._can_hear(max(0.0, min(self._left_seconds(), LOOK_SECONDS)))
        finally:
            _leave("the guard failed")

    def _can_hear(self, patience: float | None) -> bool:
        return bool(select.select([self._descriptor], [], [], patience)[0])

    def _hear(self, said: bytes) -> None:
        if not said:
            _leave("the daemon is gone")
        *lines, self._unread = (self._unread + said).split(b"\n")
        if lines:
            self._safe_until = float(lines[-1])

    def _left_seconds(self) -> float:
        return float("inf") if self._safe_until is None else self._safe_until - self._steady()


def _leave(why: str) -> NoReturn:
    # Not by logging: a frozen daemon empties no pipe, and a full one would hold whoever writes for ever.
    with suppress(OSError):
        if select.select([], [_STDERR], [], 0)[1]:
            os.write(_STDERR, f"ending at once: {why}, so the job may be someone else's\n".encode())
    # No handler and no buffer gets a chance: whatever they would write is not ours to write any more.
    os._exit(ChildExit.LAPSED)
