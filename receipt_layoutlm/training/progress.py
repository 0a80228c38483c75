"""Progress lines for the daemon: often enough to tell a slow child from a stuck one, not one a step."""

from __future__ import annotations

import time

from receipt_layoutlm.child import Reporter

_INTERVAL_SECONDS = 2.0


class Pulse:
    """Sends progress at most every two seconds; whatever moves the run on calls it."""

    def __init__(self, reporter: Reporter, interval_seconds: float = _INTERVAL_SECONDS) -> None:
        self._reporter = reporter
        self._interval = interval_seconds
        self._last = float("-inf")

    def beat(self, stage: str, message: str = "", **fields: float | dict[str, float] | None) -> None:
        """Send a line if the last one is old enough."""
        if time.monotonic() - self._last >= self._interval:
            self.say(stage, message, **fields)

    def say(self, stage: str, message: str = "", **fields: float | dict[str, float] | None) -> None:
        """Send a line now: a stage begins, or an epoch has its scores."""
        self._last = time.monotonic()
        self._reporter.progress(stage, message, **fields)
