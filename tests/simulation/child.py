"""A child process of simulated work: it writes, reports, guards its lease, and ends as its script says."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from messages.child_protocol import ChildExit, ErrorClass, Exported, Failure, Progress, Report, Trained
from tests.simulation.loop import Entry, Process, VirtualLoop, context_of
from tests.simulation.network import Host

START_SECONDS = 1.0
WRITE_SECONDS = 4.0
"""How often a working child writes something and reports."""


@dataclass(frozen=True, slots=True)
class Script:
    """What one attempt does.

    Attributes:
        seconds: how long it works before its ending.
        ending: `hang` works on but says nothing; `crash` dies of a signal; an error class is reported.
        checkpoint_seconds: how long it takes to leave when asked to; None does not listen.
    """

    seconds: float
    ending: Literal["succeed", "hang", "crash"] | ErrorClass
    checkpoint_seconds: float | None = 1.0


class Journal(Protocol):
    """Hears what a child does."""

    def wrote(self, child: SimulatedChild) -> None:
        """It has written a record or a file."""
        ...

    def ended(self, child: SimulatedChild) -> None:
        """It is gone; its code says how."""
        ...


class SimulatedChild:
    """Has the interface of `workers.runtime.child.Child`; lives on its daemon's host as a process of its own.

    Args:
        guarded: whether it heeds its deadline and its daemon's death, as the real one does.
    """

    def __init__(
        self,
        process: Process,
        daemon: Process,
        host: Host,
        loop: VirtualLoop,
        task: dict[str, Any],
        script: Script,
        on_report: Callable[[Report], None],
        journal: Journal,
        *,
        guarded: bool = True,
    ) -> None:
        self.process = process
        self.daemon = daemon
        self.job: dict[str, Any] = task["job"]
        self.attempt: int = task["attempt"]
        self.kind: Literal["train", "export"] = "export" if "training_job_id" in task else "train"
        self.script = script
        self.code: int | None = None
        self.last_lines: list[str] = []
        self.pid = 1
        self._task = task
        self._host = host
        self._loop = loop
        self._on_report = on_report
        self._journal = journal
        self._guarded = guarded
        self._ends_at = loop.time() + script.seconds
        self._safe_until: float | None = None
        self._orphaned = False
        self._over = asyncio.Event()
        self._own: Context = context_of(process)
        # What the daemon hears comes through its pipe: late if it is frozen, never if it is dead.
        self._daemons: Context = copy_context()
        self._guard: Entry | None = None
        self._next: Entry | None = None
        if not guarded:
            self._next = loop.call_later(START_SECONDS, self._work, context=self._own)

    @property
    def owner_id(self) -> str:
        """Id of the job or export that it works on."""
        return str(self.job["export_id" if self.kind == "export" else "job_id"])

    def beat(self, safe_until: float) -> None:
        """Heed a new deadline in the host's steady seconds; the first one lets the work begin."""
        if self._safe_until is None and self._guarded:
            self._next = self._loop.call_later(START_SECONDS, self._work, context=self._own)
        self._safe_until = safe_until
        if self._guard is not None:
            self._guard.cancel()
        self._guard = self._loop.call_at(safe_until + self._host.booted, self._check_lease, context=self._own)

    async def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        await self._over.wait()
        assert self.code is not None
        return self.code

    async def stop(self, grace_seconds: float, *unless: asyncio.Event) -> int:
        """Ask it to leave, wait, end it by force."""
        self._loop.call_soon(self._heed_sigterm, context=self._own)
        ended = asyncio.create_task(self.wait())
        skips = [asyncio.create_task(event.wait()) for event in unless]
        await asyncio.wait({ended, *skips}, timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        for skip in skips:
            skip.cancel()
        self.kill()
        return await ended

    def kill(self) -> None:
        """End it by force, frozen or not."""
        self._end(-signal.SIGKILL)

    def lose_daemon(self) -> None:
        """Its daemon's end of the pipe is closed."""
        self._orphaned = True
        self._loop.call_soon(self._check_lease, context=self._own)

    def power_off(self) -> None:
        """Its host is gone, and it is gone with it."""
        self._end(-signal.SIGKILL)

    def _check_lease(self) -> None:
        steady = self._loop.time() - self._host.booted
        has_lapsed = self._safe_until is not None and steady >= self._safe_until
        if self._guarded and (self._orphaned or has_lapsed):
            self._end(ChildExit.LAPSED)

    def _work(self) -> None:
        """Do a little, then sleep; every write is preceded by a look at the deadline."""
        self._check_lease()
        if self.code is not None:
            return
        self._journal.wrote(self)
        now = self._loop.time()
        if now < self._ends_at:
            self._say(Progress(stage="training"))
            self._next = self._loop.call_at(
                min(now + WRITE_SECONDS, self._ends_at), self._work, context=self._own
            )
        elif self.script.ending == "hang":
            self._next = self._loop.call_later(WRITE_SECONDS, self._work, context=self._own)
        else:
            self._finish()

    def _finish(self) -> None:
        ending = self.script.ending
        if ending == "crash":
            self._end(-signal.SIGSEGV)
        elif isinstance(ending, ErrorClass):
            self._say(Failure(error_class=ending, message=f"scripted {ending}"))
            self._end(ChildExit.RETRY if ending.retryable else ChildExit.PERMANENT)
        else:
            self._say(self._result())
            self._end(ChildExit.DONE)

    def _heed_sigterm(self) -> None:
        if self.script.checkpoint_seconds is not None and self.code is None:
            self._loop.call_later(self.script.checkpoint_seconds, self._reach_checkpoint, context=self._own)

    def _reach_checkpoint(self) -> None:
        self._check_lease()
        if self.code is None:
            if self._safe_until is not None or not self._guarded:  # else it has not begun
                self._journal.wrote(self)
            self._end(ChildExit.STOPPED)

    def _say(self, report: Report) -> None:
        self._loop.call_soon(self._on_report, report, context=self._daemons)

    def _end(self, code: int) -> None:
        if self.code is not None:
            return
        self.code = int(code)
        for timer in (self._next, self._guard):
            if timer is not None:
                timer.cancel()
        self._loop.call_soon(self._over.set, context=self._daemons)
        self._journal.ended(self)

    def _result(self) -> Trained | Exported:
        if self.kind == "export":
            prefix = str(self.job["output_s3_prefix"])
            return Exported(
                mlpackage_s3_uri=f"{prefix}LayoutLM.mlpackage",
                bundle_s3_uri=prefix,
                canonical_bundle_s3_uri=str(self._task["canonical_bundle_s3_uri"]),
                canonical_bundle_etag=f"etag-{self.attempt}",
                model_size_bytes=12,
            )
        run = str(self._task["run_s3_uri"])
        results = {"best_f1": 0.5, "best_epoch": self.attempt, "best_checkpoint_s3_path": f"{run}best/"}
        return Trained(run_s3_uri=run, best_checkpoint_s3_uri=f"{run}best/", results=results)


def read_task(job_file: Any) -> dict[str, Any]:
    """Return what the daemon wrote for its child."""
    task: dict[str, Any] = json.loads(job_file.read_text())
    return task
