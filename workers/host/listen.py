"""Asks the host each second whether it goes away, and makes the worker stop in time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from workers.health import Health
from workers.host.errors import MetadataError
from workers.host.imds import Metadata
from workers.host.notices import NOTICES, Notice, read_notice
from workers.settings import Settings
from workers.stop import Stop

LISTEN_SECONDS = 1.0
"""EC2 asks for every five seconds at least; of two minutes, each second is a step of training."""
MAX_PAUSE_SECONDS = 15.0
"""Between two tries of a service that does not answer: a notice of two minutes is still heard in time."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Listener:
    """Hears notices and passes them to stop, health and log, each once.

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
                self._heed(notice)
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

    def _heed(self, notice: Notice) -> None:
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
