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
    """

    metadata: Metadata
    settings: Settings
    stop: Stop
    health: Health
    terminating: bool = field(default=False, init=False)
    _heard: set[str] = field(default_factory=set, init=False)
    _deaf: bool = field(default=False, init=False)

    async def keep_listening(self) -> None:
        """Listen for as long as the daemon runs."""
        while True:
            await self.listen()
            await asyncio.sleep(LISTEN_SECONDS)

    async def listen(self) -> None:
        """Ask for each notice once; an outage is logged when it begins and when it is over."""
        failure = None
        for path in NOTICES:
            try:
                body = await self.metadata.get(path)
            except MetadataError as error:
                failure = error
                continue
            notice = None if body is None else read_notice(path, body, self.settings)
            if notice is not None and notice.text not in self._heard:
                self._heed(notice)
        if failure is not None and not self._deaf:
            log.warning("instance metadata does not answer; asked again each second", error=str(failure))
        if failure is None and self._deaf:
            log.info("instance metadata answers again")
        self._deaf = failure is not None

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
