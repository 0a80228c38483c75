"""The health of a worker: the ages of its last poll, heartbeat, child report and event loop tick.

The parts of a worker record events; recording only stores a time. A health report compares the ages of these
times with the limits that hold for the worker's current activity.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict

from receipt_dynamo.clock import steady_seconds
from workers.settings import Settings

TICK_SECONDS = 1.0
"""Seconds between wake-ups of the event loop, made only to measure how late they come."""
LOOP_LAG_SECONDS = 2.0
POLL_MARGIN_SECONDS = 15.0
"""A receive takes its wait and the network; a few that fail and are tried again fit in as well."""
HOST_SECONDS = 45.0
"""A few tries of the instance metadata service, the longest pauses between them included."""

State = Literal["starting", "idle", "working", "stopping"]
SignName = Literal["loop", "poll", "beat", "child", "host"]

_REASONS: dict[SignName, str] = {
    "loop": "the event loop wakes up {age:.1f} s late (limit {limit:.1f} s)",
    "poll": "no receive was answered for {age:.1f} s (limit {limit:.1f} s)",
    "beat": "the lease was not renewed for {age:.1f} s (limit {limit:.1f} s)",
    "child": "the child has said nothing for {age:.1f} s (limit {limit:.1f} s)",
    "host": "the instance metadata service has not answered for {age:.1f} s (limit {limit:.1f} s), "
    "so no Spot notice is heard",
}


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """The greatest age of each sign of life, in seconds."""

    loop: float = LOOP_LAG_SECONDS
    poll: float = 20 + POLL_MARGIN_SECONDS
    beat: float = 45
    child: float = 900
    host: float = HOST_SECONDS

    @classmethod
    def of(cls, settings: Settings) -> HealthLimits:
        """The limits that follow from the settings."""
        return cls(
            poll=settings.poll_seconds + POLL_MARGIN_SECONDS,
            # Renewed every third of the lease: by the half one renewal has failed, and the lease still holds.
            beat=settings.lease_seconds / 2,
            child=settings.stall_seconds,
        )


class Sign(BaseModel):
    """One sign of life. No limit: none is expected while the worker does what it does now."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    age_seconds: float | None
    limit_seconds: float | None
    fresh: bool


class Work(BaseModel):
    """The job that is being worked on."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    kind: str
    job_id: str
    attempt: int


class HealthReport(BaseModel):
    """A worker's health at one moment.

    Attributes:
        state: what the worker is doing.
        since_seconds: how long it has been doing that.
        job: the job in hand, with a stop under way too.
        notice: why no more messages are taken: what the host said last.
        child_pid: the process that does the work.
        signs: the age of each sign of life; the loop's is how late it last woke up.
        failed_receives: so many in a row, up to now.
        handled: messages by ending.
        faults: the tasks beside the work that have failed lately, with what happened.
        warnings: what was odd at the start and stops nothing.
        fresh: whether every sign that is expected now is within its limit, and no such task has failed.
        reasons: why not, one sentence each.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    state: State
    since_seconds: float
    job: Work | None
    notice: str | None = None
    child_pid: int | None
    signs: dict[SignName, Sign]
    failed_receives: int
    handled: dict[str, int]
    faults: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    fresh: bool
    reasons: tuple[str, ...]

    @property
    def stale(self) -> tuple[SignName, ...]:
        """The signs that are older than their limit."""
        return tuple(name for name, sign in self.signs.items() if not sign.fresh)


@dataclass(slots=True, eq=False)
class Health:
    """The moments that tell how a worker is; nothing here waits or asks anybody.

    Attributes:
        limits: how old each sign of life may be.
        steady: seconds that go on while the host sleeps.
        warnings: what was odd at the start and stops nothing.
        ready: set by the first receive that was answered.
    """

    limits: HealthLimits = field(default_factory=HealthLimits)
    steady: Callable[[], float] = steady_seconds
    warnings: tuple[str, ...] = ()
    ready: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _since: float = field(init=False)
    _polled_at: float = field(init=False)
    _beaten_at: float | None = field(default=None, init=False)
    _spoke_at: float | None = field(default=None, init=False)
    _ticked_at: float | None = field(default=None, init=False)
    _host_answered_at: float | None = field(default=None, init=False)
    _lag: float = field(default=0.0, init=False)
    _stopping: bool = field(default=False, init=False)
    _notice: str | None = field(default=None, init=False)
    _failed_receives: int = field(default=0, init=False)
    _job: Work | None = field(default=None, init=False)
    _child_pid: int | None = field(default=None, init=False)
    _handled: Counter[str] = field(default_factory=Counter, init=False)
    _faults: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._since = self._polled_at = self.steady()

    def warned(self, warning: str) -> None:
        """Something is odd and stops nothing."""
        self.warnings = (*self.warnings, warning)

    def polled(self) -> None:
        """A receive was answered, with a message or without."""
        self._polled_at = self.steady()
        self._failed_receives = 0
        if not self.ready.is_set():
            self._since = self._polled_at
            self.ready.set()

    def receive_failed(self) -> None:
        """A receive failed; the one before it keeps its age."""
        self._failed_receives += 1

    def began(self, kind: str, job_id: str, attempt: int) -> None:
        """A job was claimed: from here on its lease has to be renewed."""
        self._job = Work(kind=kind, job_id=job_id, attempt=attempt)
        self._since = self._beaten_at = self.steady()

    def ended(self, ending_name: str) -> None:
        """A message was handled; the next poll may take as long as any."""
        self._handled[ending_name] += 1
        self._job = None
        self._beaten_at = None
        self._since = self._polled_at = self.steady()

    def record_heartbeat(self) -> None:
        """The lease was renewed."""
        self._beaten_at = self.steady()

    def child_started(self, pid: int) -> None:
        """The child runs."""
        self._child_pid = pid
        self._spoke_at = self.steady()

    def record_report(self) -> None:
        """The child sent a report."""
        self._spoke_at = self.steady()

    def child_ended(self) -> None:
        """The child is reaped."""
        self._child_pid = None
        self._spoke_at = None

    def stopping(self) -> None:
        """The worker was asked to stop."""
        self._stopping = True
        self._since = self.steady()

    def noticed(self, notice: str) -> None:
        """The host said why no more messages are taken; from here on no polls are expected."""
        self._notice = notice

    def ticked(self, lag_seconds: float) -> None:
        """The loop woke up, so much later than it was asked to."""
        self._ticked_at = self.steady()
        self._lag = lag_seconds

    def host_answered(self) -> None:
        """The instance metadata service answered; from here on it is expected to."""
        self._host_answered_at = self.steady()

    def report_fault(self, name: str, fault: str | None) -> None:
        """A task beside the work has failed with this, or (None) is well again."""
        if fault is None:
            self._faults.pop(name, None)
        else:
            self._faults[name] = fault

    def report(self) -> HealthReport:
        """The worker's health at this moment."""
        signs = dict(self._signs(self.steady()))
        return HealthReport(
            state=self._state,
            since_seconds=self.steady() - self._since,
            job=self._job,
            notice=self._notice,
            child_pid=self._child_pid,
            signs=signs,
            failed_receives=self._failed_receives,
            handled=dict(self._handled),
            faults=dict(self._faults),
            warnings=self.warnings,
            fresh=not self._faults and all(sign.fresh for sign in signs.values()),
            reasons=(*self._reasons(signs), *self._faults.values()),
        )

    @property
    def _state(self) -> State:
        if self._stopping or (self._notice is not None and self._job is None):
            return "stopping"
        if self._job is not None:
            return "working"
        return "idle" if self.ready.is_set() else "starting"

    def _signs(self, now: float) -> Iterator[tuple[SignName, Sign]]:
        """Each sign with its limit, if one is expected: heartbeats during a job, polls otherwise."""
        working = self._job is not None
        ages: dict[SignName, tuple[float | None, float, bool]] = {
            "loop": (self._loop_lag(now), self.limits.loop, True),
            "poll": (now - self._polled_at, self.limits.poll, not working and self._notice is None),
            "beat": (_age(now, self._beaten_at), self.limits.beat, working),
            "child": (_age(now, self._spoke_at), self.limits.child, self._child_pid is not None),
            "host": (_age(now, self._host_answered_at), self.limits.host, self._host_answered_at is not None),
        }
        for name, (age, limit, expected) in ages.items():
            fresh = age is None or not expected or age <= limit
            yield name, Sign(age_seconds=age, limit_seconds=limit if expected else None, fresh=fresh)

    def _loop_lag(self, now: float) -> float | None:
        """Seconds by which the last wake-up was late, or is by now: a report may come before the late one."""
        if self._ticked_at is None:
            return None
        return max(self._lag, now - self._ticked_at - TICK_SECONDS)

    def _reasons(self, signs: dict[SignName, Sign]) -> Iterator[str]:
        for name, sign in signs.items():
            if not sign.fresh:
                reason = _REASONS[name].format(age=sign.age_seconds, limit=sign.limit_seconds)
                failed = name == "poll" and self._failed_receives
                yield f"{reason}; {failed} in a row failed" if failed else reason


def _age(now: float, moment: float | None) -> float | None:
    return None if moment is None else now - moment
