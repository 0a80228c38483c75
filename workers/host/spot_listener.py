"""Polls for Spot and rebalance notices and passes them to stop and health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from pydantic_core import from_json

from receipt_dynamo.clock import read_time
from workers.errors import MetadataError
from workers.health import Health
from workers.host.imds import Metadata
from workers.settings import Settings
from workers.stop import Stop

NOTICE_SECONDS = 120.0
"""Time between a Spot notice and the instance's end; EC2 never gives more, by any clock."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice of the host.

    Attributes:
        text: for log, record and `worker-status`; the same for as long as the notice stands.
        drain_seconds: limit for a running child to reach a checkpoint; None lets it end its work.
        terminating: whether Auto Scaling is about to end the instance, and a lifecycle hook may hold it.
    """

    text: str
    drain_seconds: float | None = None
    terminating: bool = False


def _read_interruption(body: str, settings: Settings, now: datetime) -> Notice:
    """`{"action": "terminate", "time": "2026-11-21T08:22:00Z"}`; an unreadable one still is a notice."""
    margin = settings.spot_margin_seconds
    at = _read_moment(body, "time")
    if at is None:
        return Notice("Spot interruption notice without a time", max(1.0, NOTICE_SECONDS - margin))
    # A host whose clock is wrong would see no time left, or hours.
    left = min(max(0.0, (at - now).total_seconds()), NOTICE_SECONDS)
    return Notice(f"Spot interruption notice for {at:%Y-%m-%dT%H:%M:%SZ}", max(1.0, left - margin))


def _read_target_state(body: str, settings: Settings, _now: datetime) -> Notice | None:
    """`InService`, `Standby`, `Detached` and so on until it is `Terminated`: then the group wants us gone."""
    if body != "Terminated":
        return None
    return Notice("Auto Scaling ends this instance", settings.drain_seconds, terminating=True)


def _read_rebalance(body: str, _settings: Settings, _now: datetime) -> Notice:
    """`{"noticeTime": "2026-11-21T08:22:00Z"}`: the risk of an interruption is high, nothing more."""
    at = _read_moment(body, "noticeTime")
    return Notice(f"Rebalance recommendation {f'of {at:%Y-%m-%dT%H:%M:%SZ}' if at else 'without a time'}")


def _read_moment(body: str, name: str) -> datetime | None:
    """The moment that a JSON object names; None where it names none, or is no such object."""
    try:
        # Not the json module, which ends in a RecursionError where brackets are nested deeply.
        return read_time(from_json(body)[name])
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def find_doubt(settings: Settings) -> str | None:
    """The reason why a child may not reach a checkpoint on a Spot host; None where there is none."""
    left = NOTICE_SECONDS - settings.spot_margin_seconds
    if settings.drain_seconds <= left:
        return None
    return (
        f"LAYOUTLM_DRAIN_SECONDS ({settings.drain_seconds:g}) is longer than the {left:g} s that a Spot "
        f"notice leaves with LAYOUTLM_SPOT_MARGIN_SECONDS ({settings.spot_margin_seconds:g}): a child may be "
        "ended before its checkpoint then."
    )


NOTICES: dict[str, Callable[[str, Settings, datetime], Notice | None]] = {
    "spot/instance-action": _read_interruption,
    "autoscaling/target-lifecycle-state": _read_target_state,
    "events/recommendations/rebalance": _read_rebalance,
}
"""Each path of the metadata service with the reader of what it holds; most of the time it holds nothing."""


def read_notice(path: str, body: str, settings: Settings, now: datetime | None = None) -> Notice | None:
    """Parse the value at one of these paths; None when it needs no action."""
    return NOTICES[path](body, settings, now or datetime.now(UTC))


LISTEN_SECONDS = 1.0
"""Seconds between polls. EC2 recommends five at most; each second of the two minutes is a training step."""
MAX_PAUSE_SECONDS = 15.0
"""Longest pause, in seconds, between retries of a silent service; a two-minute notice is read in time."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Listener:
    """Polls for notices and passes each one once to stop, health and log.

    Attributes:
        metadata: where they are read.
        settings: how long a drain may take.
        stop: what a notice asks.
        health: shows the latest one.
        terminating: whether Auto Scaling is about to end this instance.
        asked: set once all notices were asked for, whatever came of it.
        answered: set once the service has answered.
    """

    metadata: Metadata
    settings: Settings
    stop: Stop
    health: Health
    terminating: bool = field(default=False, init=False)
    asked: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    answered: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _heard: set[str] = field(default_factory=set, init=False)
    _failures: int = field(default=0, init=False)

    async def keep_listening(self) -> None:
        """Listen for as long as the daemon runs."""
        while True:
            try:
                await self.listen()
            finally:
                self.asked.set()
            await asyncio.sleep(self._pause_seconds)

    async def listen(self) -> None:
        """Ask for each notice once; an outage is logged when it begins and when it is over."""
        failure = None
        for path in NOTICES:
            try:
                body = await self.metadata.get(path)
            except MetadataError as error:
                failure = error
                if not self.metadata.has_token:
                    break  # it gives none for the other paths, either
                continue
            notice = None if body is None else read_notice(path, body, self.settings)
            if notice is not None and notice.text not in self._heard:
                self._apply_notice(notice)
        if failure is None:
            self._note_answer()
        else:
            self._note_failure(failure)

    @property
    def _pause_seconds(self) -> float:
        """A second, and twice as long after each failure: the service limits how often it is asked."""
        return min(MAX_PAUSE_SECONDS, LISTEN_SECONDS * 2.0 ** min(self._failures, 10))

    def _note_answer(self) -> None:
        if self._failures:
            log.info("instance metadata answers again")
        self._failures = 0
        self.answered.set()
        self.health.host_answered()

    def _note_failure(self, failure: MetadataError) -> None:
        if not self._failures:
            log.warning("instance metadata does not answer; asked again and again", error=str(failure))
        self._failures += 1

    def _apply_notice(self, notice: Notice) -> None:
        self._heard.add(notice.text)
        self.terminating = self.terminating or notice.terminating
        self.health.noticed(notice.text)
        if notice.drain_seconds is None:
            log.warning("notice from the host", notice=notice.text)
            self.stop.retire()
        else:
            drain_seconds = round(notice.drain_seconds, 1)
            log.warning("notice from the host", notice=notice.text, drain_seconds=drain_seconds)
            self.stop.request_within(notice.drain_seconds, notice.text)
