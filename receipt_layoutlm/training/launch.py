"""Starts one process per GPU and represents them to the daemon, which starts, stops and reads only this one.

Not torchrun itself: all its processes would read the daemon's one pipe, a checkpoint would have 30 seconds,
and every ending would be exit code 1. The variables are torchrun's, so what it has started takes part, too.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess  # the processes are this very program
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from messages.child_protocol import ChildExit, Failure, parse_report

MASTER = "MASTER_ADDR"
RENDEZVOUS = "LAYOUTLM_RENDEZVOUS"
"""The file by which the processes of one host meet; unset, they meet at MASTER_ADDR and MASTER_PORT."""
GRACE_SECONDS = 30.0
"""Seconds for the first process to end by itself after another one has failed."""

_ENDED_WELL = {ChildExit.DONE, ChildExit.STOPPED}


class Event(NamedTuple):
    """An event of one process: a report of its failure (`failure`), or its end (`code`)."""

    process: int
    failure: bytes | None = None
    code: int | None = None


def plan_processes(environ: Mapping[str, str]) -> list[dict[str, str]]:
    """The variables of each process of this host, in torchrun's names; none where this one trains alone.

    NNODES hosts take part, of which this one is NODE_RANK, each with LOCAL_WORLD_SIZE processes: as many as
    it has GPUs unless that is set. They meet on the first host, at MASTER_ADDR and MASTER_PORT.
    """
    if "RANK" in environ:  # started by torchrun, or by us
        return []
    here = int(environ.get("LOCAL_WORLD_SIZE") or max(_count_gpus(environ), 1))
    hosts, host = int(environ.get("NNODES") or 1), int(environ.get("NODE_RANK") or 0)
    if hosts * here == 1:
        return []
    if hosts > 1 and MASTER not in environ:
        raise SystemExit(
            f"NNODES is {hosts}. Set {MASTER} to the first host's address and MASTER_PORT to a free port."
        )
    threads = str(max((os.cpu_count() or 1) // here, 1))
    shared = {"WORLD_SIZE": str(hosts * here), "LOCAL_WORLD_SIZE": str(here)}
    return [
        {
            "OMP_NUM_THREADS": threads,
            **environ,
            **shared,
            "RANK": str(host * here + number),
            "LOCAL_RANK": str(number),
        }
        for number in range(here)
    ]


def launch(command: list[str], processes: list[dict[str, str]], folder: Path | None = None) -> int:
    """Run all processes to their end; returns the exit code for all of them.

    They meet by a file in the folder, by default in the system's temporary one.

    Where one of them was killed by a signal, this one is, too: the daemon judges it as if it were that one.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file = {RENDEZVOUS: f"file://{Path(name) / 'rendezvous'}"}
        group = ProcessGroup(
            command, [environ if MASTER in environ else {**environ, **file} for environ in processes]
        )
        code = group.wait()
    if code < 0:
        if -code != signal.SIGKILL:  # which no process can handle
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


class ProcessGroup:
    """The processes of one training on this host.

    The first one reports; the others are heard only when they fail. Each gets the daemon's lines about the
    lease, so that each ends by itself when they stop.
    """

    def __init__(self, command: list[str], environs: list[dict[str, str]]) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        has_daemon = not os.isatty(0)
        self._processes = [
            subprocess.Popen(  # noqa: S603 - our own module and our own argument
                command,
                env=environ,
                close_fds=False,  # they hold the lock of the work folder, too
                stdin=subprocess.PIPE if has_daemon else None,
                stdout=subprocess.PIPE,
            )
            for environ in environs
        ]
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, lambda *_: self._processes[0].send_signal(signal.SIGTERM))
        for number in range(len(self._processes)):
            threading.Thread(target=self._listen, args=(number,), daemon=True).start()
        if has_daemon:
            threading.Thread(target=self._pass_lease_on, daemon=True).start()

    def wait(self) -> int:
        """Wait for the first one's end; the others have nothing then that is worth waiting for.

        Returns:
            The first one's exit code where it is done or has stopped: its leaving may look like a failure to
            the others. Else that of one which was killed or, if none was, of the one which failed first: the
            others have only lost it.
        """
        codes: dict[int, int] = {}
        cause: Event | None = None
        deadline = float("inf")
        while not _is_decided(codes, cause) and (event := self._next(deadline)) is not None:
            if event.code is not None:
                codes[event.process] = event.code
            if cause is None and (event.failure or event.code not in {None, *_ENDED_WELL}):
                cause = event
                # The first one may fail alike, and has a report to write then; or it waits for ever.
                deadline = time.monotonic() + GRACE_SECONDS
        self._kill()
        killed = next((code for code in codes.values() if code < 0), None)
        if cause is None or codes.get(0) in _ENDED_WELL:
            return codes[0]
        if killed is not None:
            return killed
        if cause.failure is not None:
            _say(cause.failure)
        return codes.get(cause.process, ChildExit.RETRY)

    def _next(self, deadline: float) -> Event | None:
        left = None if deadline == float("inf") else max(deadline - time.monotonic(), 0.0)
        try:
            return self._events.get(timeout=left)
        except queue.Empty:
            return None

    def _listen(self, number: int) -> None:
        process = self._processes[number]
        for line in process.stdout or ():
            if isinstance(parse_report(line), Failure):
                # Not passed on yet: the first failure names the cause, those that follow from it do not.
                self._events.put(Event(number, failure=line))
            elif number == 0:
                _say(line)
        self._events.put(Event(number, code=process.wait()))

    def _pass_lease_on(self) -> None:
        pipes = [process.stdin for process in self._processes if process.stdin is not None]
        while said := os.read(0, 4096):
            for pipe in pipes:
                with suppress(BrokenPipeError):
                    os.write(pipe.fileno(), said)
        for pipe in pipes:  # the daemon is gone: they end as one that it has started would
            pipe.close()

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def _is_decided(codes: Mapping[int, int], cause: Event | None) -> bool:
    """Whether the exit code for all is known: the failed process reports first, and exits a moment later."""
    return 0 in codes and (cause is None or codes[0] in _ENDED_WELL or cause.process in codes)


def _say(line: bytes) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def _count_gpus(environ: Mapping[str, str]) -> int:
    """GPUs that a training here may use, without loading torch."""
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return len([name for name in chosen.split(",") if name.strip() not in {"", "-1"}])
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - found on the path
        return sum(line.startswith("GPU ") for line in told.stdout.splitlines())
    return 0
