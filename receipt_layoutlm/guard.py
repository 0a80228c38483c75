"""Ends this process when the daemon that holds the job's lease is gone, frozen or cut off.

The daemon says through standard input for how many seconds the lease is still good. A daemon that was
killed closes the pipe; one that is frozen says nothing. In both cases another worker may start the same
job, and two of them must never write.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time

from messages.child import ChildExit

log = logging.getLogger(__name__)


def watch_lease(descriptor: int = 0) -> None:
    """Start the watching thread; standard input must be the daemon's pipe."""
    threading.Thread(target=_watch, args=(descriptor,), name="lease-guard", daemon=True).start()


def _watch(descriptor: int) -> None:
    good_until: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            remaining = None if good_until is None else good_until - time.monotonic()
            if remaining is not None and remaining <= 0:
                _leave("the daemon has not renewed the lease")
            if not selector.select(remaining):
                continue
            said = os.read(descriptor, 4096)
            if not said:
                _leave("the daemon is gone")
            good_until = time.monotonic() + _last_seconds(said)


def _last_seconds(said: bytes) -> float:
    return float(said.split()[-1])


def _leave(why: str) -> None:
    log.error("ending at once: %s, so the job may be someone else's", why)
    # No handler and no buffer gets a chance: whatever they would write is not ours to write any more.
    os._exit(ChildExit.RETRY)
