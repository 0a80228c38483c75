"""Starts workers from the template (`tests.chaos.template`) and says when they have ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.chaos.calls import Point
from tests.chaos.wire import VARIABLE
from workers.local_aws.local_stack import CREDENTIALS

CHILD = "tests.chaos.child"
GUARDED_CHILD = "tests.chaos.guarded_child"


@dataclass(frozen=True, slots=True)
class Order:
    """One worker to start.

    Attributes:
        kind: what it works on.
        environ: its settings.
        log: where its output goes.
        journal: where the names of its AWS calls go; None leaves them alone.
        cut_at: the call at which it dies.
        child: the module of its children.
    """

    kind: Literal["train", "export"]
    environ: dict[str, str]
    log: str
    journal: str | None = None
    cut_at: Point | None = None
    child: str = CHILD


@dataclass(slots=True)
class Worker:
    """A worker that was ordered."""

    order: Order
    started: Future[int] = field(default_factory=Future)
    gone: Future[int] = field(default_factory=Future)

    async def pid(self) -> int:
        """Its process id, once it has one."""
        return await asyncio.wrap_future(self.started)

    async def ended(self, within_seconds: float = 60) -> int:
        """Wait for its end; returns the exit code, negative for a signal."""
        async with asyncio.timeout(within_seconds):
            return await asyncio.shield(asyncio.wrap_future(self.gone))

    async def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it is gone."""
        pid = await self.pid()
        if not self.gone.done():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return Path(self.order.log).read_text()


class Workers:
    """The template's process; a context manager that ends it and every worker.

    Args:
        wire: where children speak.
    """

    def __init__(self, wire: Path) -> None:
        self._wire = wire
        self._ids = count()
        self._workers: dict[int, Worker] = {}

    def __enter__(self) -> Self:
        # Nothing of this measures coverage: a process that is killed writes none, and each start would pay.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.template"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**environ, **CREDENTIALS, VARIABLE: str(self._wire)},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            if worker.started.done() and not worker.gone.done():
                with suppress(ProcessLookupError):
                    os.kill(worker.started.result(), signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(self, order: Order) -> Worker:
        """Start a worker."""
        number, worker = next(self._ids), Worker(order)
        self._workers[number] = worker
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, **asdict(order)}) + "\n")
        return worker

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            worker = self._workers[news["id"]]
            if "pid" in news:
                worker.started.set_result(news["pid"])
            else:
                worker.gone.set_result(news["code"])
