"""Lets checkpoints go up while the training goes on: a gigabyte takes as long as many steps."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Uploads:
    """One piece of work at a time beside the training, in the order in which it was given."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._last: Future[None] | None = None

    def begin(self, work: Callable[[], None]) -> None:
        """Start it when what was begun before is done; that one's error is raised here."""
        self.finish()
        self._last = self._thread.submit(work)

    def finish(self) -> None:
        """Wait for what was begun; its error is raised here."""
        last, self._last = self._last, None
        if last is not None:
            last.result()
