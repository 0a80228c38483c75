"""Timeline of the events on the machine, printed as they happen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")
LOOK_SECONDS = 0.2


class Timeline:
    """Seconds since the first line, and a sentence."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, sentence: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self._began:7.1f} s  {sentence}", flush=True)  # noqa: T201 - that is what it is for

    def step(self, title: str) -> None:
        """Print a heading."""
        print(f"\n{title}", flush=True)  # noqa: T201 - as above


def wait_for(what: str, look: Callable[[], Seen | None], *, within: float) -> Seen:
    """Look until there is something (not None, not False); returns it.

    Args:
        what: what is waited for, as the failure names it.
        look: looks once.
        within: in seconds.
    """
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if (seen := look()) is not None and seen is not False:
            return seen
        time.sleep(LOOK_SECONDS)
    raise AssertionError(f"not within {within:g} s: {what}")
