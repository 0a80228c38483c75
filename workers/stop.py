"""Requests to stop: the first signal drains, the second one skips the waiting; the host sets a deadline.

A part of the daemon that has failed for good asks as well, and names the error that ends the process.
"""

from __future__ import annotations

import asyncio
import signal

from workers.errors import WorkerError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Events for the stages of a stop. None of them cancels anything; loops check them.

    Attributes:
        requested: the running child shall reach a checkpoint, and no more messages are taken.
        now: the waiting for that is over.
        retired: no more messages are taken, but a running child may end its work.
        leave: the process shall end, too: a person or a service manager asked, or a part of it has failed. A
            host that goes away asks for the work alone.
        why: the host's notice, or the part that has failed; None when only signals asked.
        failure: the permanent error of a part of the daemon.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.now = asyncio.Event()
        self.retired = asyncio.Event()
        self.leave = asyncio.Event()
        self.why: str | None = None
        self.failure: WorkerError | None = None
        self._signalled = False
        self._deadline: float | None = None

    @property
    def takes_no_more(self) -> bool:
        """Whether this worker claims no more messages."""
        return self.requested.is_set() or self.retired.is_set()

    def request(self) -> None:
        """Once: stop after a checkpoint. Twice: at once."""
        if self._signalled:
            self.now.set()
        self._signalled = True
        self.leave.set()
        self.requested.set()

    def fail(self, failure: WorkerError) -> None:
        """End with this error, after a checkpoint; the first failure counts.

        It is no first signal: the one that a service manager may send meanwhile must not skip the waiting.
        """
        self.failure = self.failure or failure
        self.why = self.why or str(failure)
        self.leave.set()
        self.requested.set()

    def request_within(self, seconds: float, why: str) -> None:
        """The host goes: stop after a checkpoint, and with so many seconds passed, at once.

        It is no first signal: the one that comes with the host's shutdown must not skip the waiting.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)
        loop.call_at(deadline, self.now.set)
        self.why = self.why or why
        self.requested.set()

    def retire(self) -> None:
        """Take no more messages; a running child may end its work."""
        self.retired.set()

    def drain_seconds(self, usual_seconds: float) -> float:
        """Seconds for a child to reach a checkpoint: until the host's deadline, or the usual time."""
        if self._deadline is None:
            return usual_seconds
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

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
