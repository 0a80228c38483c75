"""Progress reports, sent only while work advances."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from run_records.job_process.child_main import Reporter

_INTERVAL_SECONDS = 2.0
_LOOK_SECONDS = 5.0
_LEAST_LOAD = 0.01
"""Least load of an active process, as a share of one core; waiting threads stay a hundred times below it."""
_LEAST_BYTES = 65_536
"""Between two looks. The daemon's lines and ours are far fewer."""
_IO = Path("/proc/self/io")  # Linux only


class ProgressReporter:
    """Sends progress at most every two seconds; whatever moves the work on calls it.

    Args:
        reporter: where the lines go.
        interval_seconds: the least time between two lines that nobody insisted on.
        look_seconds: how often a call that says nothing itself is looked at.
    """

    def __init__(
        self,
        reporter: Reporter,
        interval_seconds: float = _INTERVAL_SECONDS,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._reporter = reporter
        self._interval = interval_seconds
        self._look = look_seconds
        self._last = float("-inf")
        self._stage = "starting"

    def beat(self, stage: str, message: str = "", **fields: float | dict[str, float] | None) -> None:
        """Send a line if the last one is old enough."""
        self._stage = stage
        if time.monotonic() - self._last >= self._interval:
            self.say(stage, message, **fields)

    def say(self, stage: str, message: str = "", **fields: float | dict[str, float] | None) -> None:
        """Send a line now: a stage begins, or an epoch has its scores."""
        self._stage = stage
        self._last = time.monotonic()
        self._reporter.progress(stage, message, **fields)

    def moved(self, count: int) -> None:
        """Bytes came or went; a repeated part counts back and is no progress."""
        if count > 0:
            self.beat(self._stage, "transferring")

    @contextmanager
    def working(self, stage: str, message: str = "") -> Iterator[None]:
        """Report a stage whose calls say nothing themselves, as long as this process does something."""
        self.say(stage, message)
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended,), name=f"pulse-{stage}", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def _watch(self, ended: threading.Event) -> None:
        started = time.monotonic()
        activity = Activity()
        while not ended.wait(self._look):
            if activity.goes_on():
                self.beat(self._stage, f"at work for {time.monotonic() - started:.0f} s")


class Activity:
    """The activity of all threads of this process: processor time, and bytes read and written."""

    def __init__(self) -> None:
        self._seen = _measure()

    def goes_on(self) -> bool:
        """Whether it has done more than waiting since the last call."""
        before, self._seen = self._seen, _measure()
        elapsed, load, moved = (now - then for now, then in zip(self._seen, before, strict=True))
        return load >= _LEAST_LOAD * elapsed or moved >= _LEAST_BYTES


def _measure() -> tuple[float, float, int]:
    return time.monotonic(), time.process_time(), _bytes_moved()


def _bytes_moved() -> int:
    """Bytes that this process has read and written so far, files and pipes; 0 where nobody counts."""
    try:
        lines = _IO.read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(": ") for line in lines)
    return int(counts["rchar"]) + int(counts["wchar"])
