"""Starts, watches, stops and reaps the child process."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from messages.child_protocol import ErrorClass, Report, parse_report
from workers.runtime.outcome import Refused

_LINE_BYTES = 4 * 1024 * 1024
_LAST_LINES = 20
_NO_PROGRAM = {errno.ENOENT, errno.EACCES, errno.ENOEXEC}
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """The command of a child, `python -m module job_file`, and its time limits.

    Attributes:
        module: the module to run.
        job_file: its one argument.
        environ: variables added to those of this process.
        drain_seconds: limit for reaching a checkpoint when asked to stop.
        timeout_seconds: limit of the attempt; None has no limit.
        stall_seconds: longest time without a report.
        keeps: descriptors that it inherits: the lock of its folder.
    """

    module: str
    job_file: Path
    environ: Mapping[str, str]
    drain_seconds: float
    timeout_seconds: float | None
    stall_seconds: float
    keeps: tuple[int, ...] = ()


class Child:
    """One running child in a process group of its own, so that its helpers end with it."""

    def __init__(self, process: asyncio.subprocess.Process, on_report: Callable[[Report], None]) -> None:
        self._process = process
        self._on_report = on_report
        self.last_lines: list[str] = []
        self._readers = asyncio.create_task(self._read_pipes())

    @classmethod
    async def start(cls, spec: ChildSpec, on_report: Callable[[Report], None]) -> Child:
        """Start the process. Its standard input carries the daemon's heartbeats (see `beat`).

        Raises:
            Refused: the host starts no such process.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                spec.module,
                str(spec.job_file),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES,
                start_new_session=True,
                pass_fds=spec.keeps,
                env={**os.environ, **spec.environ},
            )
        except OSError as error:
            missing = error.errno in _NO_PROGRAM
            raise Refused(
                ErrorClass.SETUP if missing else ErrorClass.HOST,
                f"{sys.executable} could not be started: {error}. "
                + ("Install the worker again." if missing else "The host has no room for another process."),
            ) from error
        return cls(process, on_report)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def beat(self, safe_until: float) -> None:
        """Send the child the steady second at which the lease lapses; the child ends itself then.

        The clock is `receipt_dynamo.clock.steady_seconds` on both sides, so a line that is read late is still
        right. The child also ends itself when this daemon is killed or frozen and could not end it.
        """
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(f"{safe_until:.3f}\n".encode())

    async def wait(self) -> int:
        """Wait for the end; returns the exit code, negative for a signal."""
        code = await self._process.wait()
        self.kill()  # helpers that it left behind would hold the pipes open, and the accelerator
        await self._readers
        return code

    async def stop(self, grace_seconds: float, *unless: asyncio.Event) -> int:
        """Ask it to leave, wait so long (`unless` one is set), end it by force; returns the exit code."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        ended = asyncio.create_task(self.wait())
        skips = [asyncio.create_task(event.wait()) for event in unless]
        await asyncio.wait({ended, *skips}, timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        for skip in skips:
            skip.cancel()
        self.kill()
        return await ended

    def kill(self) -> None:
        """End it and its helpers by force; nothing happens when they are gone."""
        kill_group(self._process.pid)

    async def _read_pipes(self) -> None:
        try:
            await asyncio.gather(self._read_reports(), self._read_log())
        except Exception:
            self.kill()  # its pipes have no reader any more: once they are full, it would block
            raise

    async def _read_reports(self) -> None:
        async for line in _lines(self._process.stdout):
            report = parse_report(line)
            if report is not None:
                self._on_report(report)

    async def _read_log(self) -> None:
        async for line in _lines(self._process.stderr):
            text = line.decode(errors="replace").rstrip()
            self.last_lines = [*self.last_lines[1 - _LAST_LINES :], text]
            log.debug("child", line=text)


def kill_group(leader: int) -> None:
    """Kill all remaining processes of the group that a child of this daemon leads.

    Raises:
        PermissionError: the leader runs as another user, so its end cannot be waited for.
    """
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError as refused:
        # macOS answers EPERM, not ESRCH, for a group in which only zombies are left. A zombie takes a signal
        # that is sent to it alone; a running process of another user refuses that one, too.
        with suppress(ProcessLookupError):
            os.kill(leader, 0)
        log.debug("nothing is left of the group that takes a signal", leader=leader, error=str(refused))


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[bytes]:
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:
            # Longer than any report; the reader has dropped it, and the next line starts afresh.
            continue
        if not line:
            return
        yield line
