"""Timestamps as the table spells them, and the estimate of the table's own clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


def write_time(moment: datetime) -> str:
    """Return ISO 8601 in UTC with microseconds and `+00:00`; raise `ValueError` for a naive moment."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone. Make it with datetime.now(UTC).")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def read_time(text: str) -> datetime:
    """Return an aware UTC moment from `+00:00`, `Z` or no zone, which in OCR jobs means UTC.

    Raises:
        ValueError: it is no moment, or one that UTC has no year from 1 to 9999 for.
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is not within the years 1 to 9999 of UTC.") from error


def now() -> str:
    """Return the present moment as the table spells it."""
    return write_time(datetime.now(UTC))


_DATE_SECONDS = 1.0
"""An HTTP date is cut off to whole seconds."""
_FIRST_YEAR, _LAST_YEAR = 2012, 9000

# Linux stops CLOCK_MONOTONIC while the host sleeps, but not CLOCK_BOOTTIME; macOS stops neither.
_STEADY_CLOCK = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC


def steady_seconds() -> float:
    """Seconds that only go forward, on while the host sleeps, and the same in every process of the host."""
    return time.clock_gettime(_STEADY_CLOCK)


def _host_seconds() -> float:
    return time.time()


def _read_date(text: str | None) -> float | None:
    """Seconds since 1970 of an HTTP date; None for what is none, or is from before DynamoDB."""
    try:
        at = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    if not _FIRST_YEAR <= at.year < _LAST_YEAR:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class TableClock:
    """The table's time, carried on by the host's steady clock between two answers.

    An answer dated `d` that was asked for at `a` and arrived at `b` shows that server time minus steady time
    lies between `d - b` and `d + 1 - a`. Cutting these intervals with each other narrows it down to less
    than the time of one request. The host's own time counts as far as it stays inside.

    Args:
        steady: seconds that only go forward.
        host: the host's own time in seconds since 1970.
    """

    def __init__(
        self, steady: Callable[[], float] = steady_seconds, host: Callable[[], float] = _host_seconds
    ) -> None:
        self.steady = steady
        self._host = host
        self._between: tuple[float, float] | None = None

    def hear(self, date: str | None, asked_at: float) -> None:
        """Take the `Date` header of an answer that has just arrived, asked for at a steady second.

        One that is no date tells nothing: a proxy has written it.
        """
        server = _read_date(date)
        if server is None:
            return
        low, high = server - self.steady(), server + _DATE_SECONDS - asked_at
        if self._between is not None:
            known_low, known_high = self._between
            # No overlap: a clock was set or has drifted, and the newest answer is the one to believe.
            if max(low, known_low) <= min(high, known_high):
                low, high = max(low, known_low), min(high, known_high)
        self._between = (low, high)

    def now(self) -> datetime:
        """The table's time, aware: the host's own, brought to within what the answers allow."""
        steady = self.steady()
        low, high = self._bounds(steady)
        return datetime.fromtimestamp(steady + min(max(self._host() - steady, low), high), UTC)

    def text(self, after_seconds: float = 0.0) -> str:
        """The table's time, so many seconds from now, as the table writes it.

        A moment to come is told as late as it may be, and the present one as early: then no lease is written
        to end before its holder thinks, and none is found ended that is not.
        """
        steady = self.steady()
        low, high = self._bounds(steady)
        at = steady + (high if after_seconds > 0 else low)
        return write_time(datetime.fromtimestamp(at, UTC) + timedelta(seconds=after_seconds))

    def _bounds(self, steady: float) -> tuple[float, float]:
        """Between what the table's time is ahead of the steady clock."""
        if self._between is not None:
            return self._between
        ahead = self._host() - steady
        return ahead, ahead
