"""Detects a late event loop, a host that slept and a clock that was set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from receipt_dynamo.clock import steady_seconds
from workers.health import TICK_SECONDS, Health

GAP_SECONDS = 1.0
"""Clocks that are read one after the other differ a little; by this much they do not."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on three clocks, in seconds.

    Attributes:
        steady: goes on while the host sleeps, and is never set.
        awake: stands still while the host sleeps, as the loop's timers do.
        wall: the host's time of day, which people and NTP set.
    """

    steady: float
    awake: float
    wall: float

    @classmethod
    def now(cls) -> Moment:
        """Read the three clocks."""
        return cls(steady_seconds(), time.monotonic(), time.time())


async def monitor_loop(
    health: Health,
    now: Callable[[], Moment] = Moment.now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Wake up once a second for as long as the daemon runs, and tell how that went."""
    before = now()
    while True:
        await sleep(TICK_SECONDS)
        after = now()
        compare(health, before, after)
        before = after


def compare(health: Health, before: Moment, after: Moment) -> None:
    """Tell health and log what lay between two ticks."""
    awake = after.awake - before.awake
    passed = after.steady - before.steady
    slept = passed - awake
    set_by = after.wall - before.wall - passed
    late = max(0.0, awake - TICK_SECONDS)
    health.ticked(late)
    # These lines only tell people. Nobody has to be woken up for them: leases go by the steady clock, and the
    # beat's pause looks at it several times.
    if late > health.limits.loop:
        log.warning("event loop was late", late_seconds=round(late, 3))
    if slept > GAP_SECONDS:
        log.warning("host slept", slept_seconds=round(slept, 3))
    if abs(set_by) > GAP_SECONDS:
        log.warning("clock was set", by_seconds=round(set_by, 3))
