"""One poll for all browsers that watch the same thing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from layoutlm_cli.dashboard.rendering import Fragment

Poll = Callable[[], Awaitable[tuple[Mapping[str, Fragment], float]]]
"""Renders every part of a page as it is now; beside them, the seconds until the next look."""

AFTER_DEFECT_SECONDS = 15
_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Watch:
    """One thing that somebody watches: its parts as they were last seen."""

    viewers: int = 0
    fragments: dict[str, Fragment] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    poller: asyncio.Task[None] | None = None

    async def poll(self, look: Poll) -> None:
        """Look again and again, and wake the viewers when something is different."""
        while True:
            try:
                found, pause_seconds = await look()
            except Exception:  # noqa: BLE001 - a defect in a look must not end the page; the log has its stack
                _log.exception("a look at what changes has failed")
                found, pause_seconds = {}, AFTER_DEFECT_SECONDS
            if self.differs_from(found):
                async with self.changed:
                    self.fragments |= found
                    self.changed.notify_all()
            await asyncio.sleep(pause_seconds)

    def differs_from(self, parts: Mapping[str, Fragment]) -> bool:
        """Whether any of these is not as it was last seen."""
        return any(self.fragments.get(name) != part for name, part in parts.items())

    def news_for(self, sent: Mapping[str, Fragment]) -> dict[str, Fragment]:
        """The parts that a viewer has not got as they are."""
        return {name: part for name, part in self.fragments.items() if sent.get(name) != part}


class Poller:
    """The things that are watched just now; each is polled once, however many watch it, and only while."""

    def __init__(self) -> None:
        self._watches: dict[str, _Watch] = {}

    @property
    def watched(self) -> int:
        """How many things are polled now."""
        return len(self._watches)

    async def watch(self, key: str, look: Poll) -> AsyncIterator[tuple[str, Fragment]]:
        """Yield the parts of a page as they are, then each one that has changed since.

        Args:
            key: what is watched; viewers of one key share its poller.
            look: reads and renders it.
        """
        watch = self._enter(key, look)
        sent: dict[str, Fragment] = {}
        try:
            while True:
                async with watch.changed:
                    await watch.changed.wait_for(lambda: watch.news_for(sent))
                    news = watch.news_for(sent)
                for name, part in news.items():
                    yield name, part
                sent.update(news)
        finally:
            self._leave(key, watch)

    def _enter(self, key: str, look: Poll) -> _Watch:
        watch = self._watches.setdefault(key, _Watch())
        watch.viewers += 1
        if watch.poller is None:
            watch.poller = asyncio.create_task(watch.poll(look))
        return watch

    def _leave(self, key: str, watch: _Watch) -> None:
        watch.viewers -= 1
        if not watch.viewers and watch.poller is not None:
            watch.poller.cancel()
            del self._watches[key]
