"""Tells the daemon where an export is, also while a library works for a minute without a word."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from receipt_layoutlm.child import Reporter, Stopped, StopRequested

log = logging.getLogger(__name__)
BEAT_SECONDS = 5.0


class Stages:
    """The steps of one export: each reported, kept alive, timed, and not begun once a stop is asked."""

    def __init__(self, reporter: Reporter, stop: StopRequested, beat_seconds: float = BEAT_SECONDS) -> None:
        self._reporter = reporter
        self._stop = stop
        self._beat_seconds = beat_seconds

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Run a step under its name.

        Raises:
            Stopped: the daemon has asked to stop before the step began.
        """
        if self._stop:
            raise Stopped
        started = time.monotonic()
        self._reporter.progress(name)
        with self._heartbeat(name, started):
            yield
        log.info("%s took %.1f s", name, time.monotonic() - started)

    @contextmanager
    def _heartbeat(self, name: str, started: float) -> Iterator[None]:
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._beat_seconds):
                self._reporter.progress(name, f"for {time.monotonic() - started:.0f} s")

        thread = threading.Thread(target=beat, name=f"heartbeat-{name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
