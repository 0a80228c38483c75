"""sd_notify: readiness, status, watchdog."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import structlog

from workers.errors import SettingsError
from workers.health import TICK_SECONDS, Health, HealthReport
from workers.settings import Settings
from workers.side_tasks import SideTasks
from workers.stop import Stop

FINISH_SECONDS = 30
"""Seconds of a stop beyond poll and drain: to reap the child and to write the record."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Systemd:
    """The service manager that started us.

    Attributes:
        address: its socket; an abstract one begins with a NUL.
        watchdog_seconds: without a word for so long it ends us; None does not.
    """

    address: str
    watchdog_seconds: float | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Systemd | None:
        """The systemd that started this process; None when another program did."""
        source = os.environ if environ is None else environ
        address = source.get("NOTIFY_SOCKET", "")
        if not address:
            return None
        # A watchdog that names another process is that one's; we have only inherited the variable.
        ours = source.get("WATCHDOG_PID") in {None, "", str(os.getpid())}
        microseconds = source.get("WATCHDOG_USEC", "")
        seconds = int(microseconds) / 1e6 if ours and microseconds.isdecimal() else None
        return cls("\0" + address[1:] if address.startswith("@") else address, seconds or None)

    def check(self, settings: Settings) -> None:
        """Make sure that the watchdog lets a worker live that loses its lease and polls again.

        Raises:
            SettingsError: it does not.
        """
        if self.watchdog_seconds is not None and self.watchdog_seconds <= settings.lease_seconds:
            raise SettingsError(
                f"WatchdogSec of the unit ({self.watchdog_seconds:g} s) is not longer than "
                f"LAYOUTLM_LEASE_SECONDS ({settings.lease_seconds:g}): systemd would kill a worker "
                "that waits for a lost lease to end. Set WatchdogSec longer, or the lease shorter."
            )

    def send(self, *lines: str) -> bool:
        """Send one datagram; False when it could not be taken now. Never waits."""
        try:
            with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self.address)
        except OSError as error:
            log.warning("systemd not told", lines=lines, error=str(error))
            return False
        return True

    def start_telling(self, tasks: SideTasks, health: Health, stop: Stop, settings: Settings) -> None:
        """Tell it everything that it wants to know, for as long as the tasks run."""
        stop_seconds = settings.poll_seconds + settings.drain_seconds + FINISH_SECONDS
        tasks.start("systemd readiness", lambda: self._tell_ready(health))
        tasks.start("systemd stop", lambda: self._tell_stopping(stop, stop_seconds))
        tasks.start("systemd status", lambda: self._tell_status(health))
        tasks.start("systemd watchdog", lambda: self._keep_alive(health))

    async def _tell_ready(self, health: Health) -> None:
        await health.ready.wait()
        await self._insist("READY=1")

    async def _tell_stopping(self, stop: Stop, seconds: float) -> None:
        await stop.requested.wait()
        # The unit's own timeout may be shorter than the drain; being ended by force in the midst of an
        # upload would cost the work since the checkpoint before.
        await self._insist("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    async def _insist(self, *lines: str) -> None:
        """Send until it is taken: a manager that is busy leaves its socket full for a while."""
        while not self.send(*lines):  # noqa: ASYNC110 - nothing tells us when the socket takes more
            await asyncio.sleep(TICK_SECONDS)

    async def _tell_status(self, health: Health) -> None:
        told = None
        while True:
            status = describe(health.report())
            if status != told and self.send(f"STATUS={status}"):
                told = status
            await asyncio.sleep(TICK_SECONDS)

    async def _keep_alive(self, health: Health) -> None:
        while self.watchdog_seconds is not None:
            if may_live(health.report()):
                self.send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / 3)


def may_live(report: HealthReport) -> bool:
    """Whether the watchdog should let this process live.

    A silent child does not count: stall detection ends that child and counts the attempt, and the daemon has
    to live to do it. Nor does a host that does not answer: a running job can do without. A late loop, a queue
    that does not answer and a lease that cannot be renewed (the table or the way to it fails) count: they are
    the daemon's own, and new connections in a new process may help.
    """
    return not set(report.stale) - {"child", "host"}


def describe(report: HealthReport) -> str:
    """One line for `systemctl status`; without ages, which would change it every second."""
    job = report.job
    doing = f"{report.state}: {job.kind} {job.job_id}, attempt {job.attempt}" if job else report.state
    wrong = [*report.stale, *report.faults]
    stale = f"; not fresh: {', '.join(wrong)}" if wrong else ""
    return f"{doing}; {sum(report.handled.values())} handled{stale}"
