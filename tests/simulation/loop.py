"""An event loop whose time is a number, so that hours pass in milliseconds and each run is like the last.

Every callback belongs to a simulated process, which its context names. A process that is stopped keeps its
callbacks unrun: until it goes on, or for good, which is what a power cut is. Nothing of it runs any more
then, no `finally` and no polite cancellation.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

MAX_STEPS = 2_000_000
"""Far more callbacks than any schedule needs; what takes more goes round in circles."""


class Process:
    """What can be stopped as one: a daemon or a child."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = False
        self._kept: list[Entry] = []

    def keep(self, entry: Entry) -> None:
        """Keep a callback that came due while the process was stopped."""
        self._kept.append(entry)

    def go_on(self, loop: VirtualLoop) -> None:
        """Run again, beginning with everything that came due meanwhile."""
        self.stopped = False
        kept, self._kept = self._kept, []
        loop.ready.extend(kept)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""Whose callback runs; None is the world outside all processes: servers, network, and fate."""


def context_of(process: Process | None) -> Context:
    """Return a fresh context that belongs to a process."""
    context = Context()
    context.run(PROCESS.set, process)
    return context


class Entry:
    """One callback that waits to be run; stands where asyncio has a handle."""

    __slots__ = ("_cancelled", "args", "callback", "context", "when")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.when = 0.0
        self._cancelled = False

    def cancel(self) -> None:
        """Never run it."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether it will never run."""
        return self._cancelled


_Loop: Any = asyncio.AbstractEventLoop
"""Without its forty other methods, which are for sockets, signals and threads."""


class VirtualLoop(_Loop):  # type: ignore[misc] # a class all the same
    """Runs callbacks in the order of their time, and of their coming where times are equal."""

    def __init__(self) -> None:
        self.ready: deque[Entry] = deque()
        self.faults: list[str] = []
        self.steps = 0
        self._now = 0.0
        self._later: list[tuple[float, int, Entry]] = []
        self._order = count()
        self._running = False

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Entry:
        entry = Entry(callback, args, context or copy_context())
        self.ready.append(entry)
        return entry

    call_soon_threadsafe = call_soon

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Entry:
        entry = Entry(callback, args, context or copy_context())
        entry.when = when
        heapq.heappush(self._later, (when, next(self._order), entry))
        return entry

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Entry:
        return self.call_at(self._now + max(0.0, delay), callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(self, _executor: None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Do it at once: what a daemon gives to a thread is short."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except OSError as error:
            done.set_exception(error)
        return done

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def run_until_complete(self, future: Any) -> Any:
        """Run until a coroutine or future of the world outside all processes is done."""
        waited = asyncio.ensure_future(future, loop=self)
        asyncio._set_running_loop(self)  # noqa: SLF001 - made for whoever writes a loop
        self._running = True
        try:
            while not waited.done():
                self._step()
        finally:
            self._running = False
            asyncio._set_running_loop(None)  # noqa: SLF001
        return waited.result()

    def _step(self) -> None:
        if not self.ready:
            self._advance()
        entry = self.ready.popleft()
        if entry.cancelled():
            return
        process = entry.context.get(PROCESS)
        if process is not None and process.stopped:
            process.keep(entry)
            return
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise RuntimeError(
                f"{MAX_STEPS} callbacks were run by second {self._now:.1f}: something circles."
            )
        entry.context.run(entry.callback, *entry.args)

    def _advance(self) -> None:
        """Go on to the next moment at which something is due."""
        if not self._later:
            raise RuntimeError(
                f"Nothing is left to happen after second {self._now:.1f}, and something waits."
            )
        when, _, entry = heapq.heappop(self._later)
        if not entry.cancelled():
            self._now = max(self._now, when)
        self.ready.append(entry)


def run_virtually(work: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in a loop of its own, for tests of single parts."""
    loop = VirtualLoop()
    result: T = loop.run_until_complete(work(loop))
    return result
