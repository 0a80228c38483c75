"""Being asked to stop: the first signal drains, the second one skips the waiting."""

from __future__ import annotations

import asyncio
import signal

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """An event for "please stop" and one for "now". Nothing is cancelled by either; loops look at them."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.now = asyncio.Event()

    def request(self) -> None:
        """Once: stop after a checkpoint. Twice: at once."""
        if self.requested.is_set():
            self.now.set()
        self.requested.set()

    def install(self) -> None:
        """Listen to SIGTERM and SIGINT on the running loop."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.request)

    async def sleep(self, seconds: float) -> None:
        """Sleep, or wake up at once when the stop comes."""
        try:
            async with asyncio.timeout(seconds):
                await self.requested.wait()
        except TimeoutError:
            return
