"""The steps of an export, each reported, timed, and not begun once a stop is asked."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.job_process.heartbeat import Pulse

log = logging.getLogger(__name__)


class Stages:
    """Tells the daemon where one export is, also while a library works for a minute without a word."""

    def __init__(self, reporter: Reporter, stop: StopRequested) -> None:
        self.pulse = Pulse(reporter)
        self.seconds: dict[str, float] = {}
        self._stop = stop

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Run a step under its name.

        Raises:
            Stopped: the daemon has asked to stop before the step began.
        """
        if self._stop:
            raise Stopped
        started = time.monotonic()
        with self.pulse.working(name):
            yield
        self.seconds[name] = round(time.monotonic() - started, 3)
        log.info("%s took %.1f s", name, self.seconds[name])

    def part(self, stage: str, name: str) -> None:
        """Report that a part of a stage begins.

        Raises:
            Stopped: the daemon has asked to stop before.
        """
        if self._stop:
            raise Stopped
        self.pulse.say(stage, name)


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
