"""Supervision of the tasks that run beside a daemon's work.

A task that nothing waits for dies unseen: asyncio keeps its exception until the process ends. So everything
that a daemon runs beside its jobs is started here. What fails is started again; where that does not help, it
ends the daemon.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from workers.errors import SideTaskFailed
from workers.stop import Stop

FAILURES = 5
"""So many in a row of a vital task end the daemon: a new process may help where a new task does not."""
MAX_PAUSE_SECONDS = 30.0
"""Before a failed task is started again; the first pause is a second, each further one twice as long."""
STEADY_SECONDS = 60.0
"""A task that has run for so long since its last failure counts as well again."""
MESSAGE_CHARS = 500
"""Characters of an error outside the log."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class SideTasks:
    """The side tasks of one part of a daemon.

    Attributes:
        stop: asked to end the daemon when a vital task keeps failing.
        report_fault: told the task's name and what is wrong with it; None when it is well again.
    """

    stop: Stop
    report_fault: Callable[[str, str | None], None]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list, init=False)
    _failures: Counter[str] = field(default_factory=Counter, init=False)

    def start(self, name: str, work: Callable[[], Awaitable[None]], *, vital: bool = True) -> None:
        """Run it until it returns; what it raises is logged and reported, and it is started again.

        Args:
            name: of the task, in logs and in `worker-status`.
            work: makes the task, anew for each start.
            vital: whether the daemon ends when it keeps failing.
        """
        self._tasks.append(asyncio.create_task(self._keep_running(name, work, vital=vital), name=name))

    async def cancel(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _keep_running(self, name: str, work: Callable[[], Awaitable[None]], *, vital: bool) -> None:
        while (error := await self._run_once(name, work)) is not None:
            self._failures[name] += 1
            failures = self._failures[name]
            pause = min(MAX_PAUSE_SECONDS, 2.0 ** (failures - 1))
            what = f"{type(error).__name__}: {error}"[:MESSAGE_CHARS]
            fault = f"{name} failed, {failures} in a row: {what}"
            log.error(
                "side task failed",
                task=name,
                failures=failures,
                error=what,
                next_start_in_seconds=pause,
                exc_info=error,
            )
            self.report_fault(name, fault)
            if vital and failures >= FAILURES:
                self.stop.fail(SideTaskFailed(f"{fault}. The log has the stack of each failure."))
            await asyncio.sleep(pause)

    async def _run_once(self, name: str, work: Callable[[], Awaitable[None]]) -> BaseException | None:
        """Run the task to its end; returns what it failed with, None when it has ended by itself."""
        recovery = asyncio.get_running_loop().call_later(STEADY_SECONDS, self._recover, name)
        try:
            await work()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error  # this task was not cancelled: an inner cancellation has escaped
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller logs it
            return error
        finally:
            recovery.cancel()
        self._recover(name)
        return None

    def _recover(self, name: str) -> None:
        if self._failures.pop(name, 0):
            log.info("side task runs again", task=name)
            self.report_fault(name, None)


@asynccontextmanager
async def side_tasks(stop: Stop, report_fault: Callable[[str, str | None], None]) -> AsyncIterator[SideTasks]:
    """Side tasks that end with the block."""
    tasks = SideTasks(stop, report_fault)
    try:
        yield tasks
    finally:
        await tasks.cancel()
