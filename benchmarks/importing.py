"""Measures the import time of the daemon's modules, and the time from its start to its first poll."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from benchmarks.daemons import moment, running
from benchmarks.report import least, print_row
from workers.local_aws.local_stack import LocalStack, MotoServer

ROUNDS = 15
STARTS = 9

_CODES = {
    "a bare interpreter, `python -c pass`": ("pass", ""),
    "the daemon's import, `python -c 'import workers.daemon'`": ("import workers.daemon", "300 ms"),
    "the same with its AWS clients, which it imports after its settings": (
        "import workers.daemon, workers.aws_clients",
        "",
    ),
}


def measure() -> None:
    """Whole processes, A B A B; then real starts."""
    took: dict[str, list[tuple[float, float]]] = {what: [] for what in _CODES}
    for _ in range(ROUNDS):
        for what, (code, _limit) in _CODES.items():
            took[what].append(_seconds(code))
    for what, (_code, limit) in _CODES.items():
        passed, busy = zip(*took[what], strict=True)
        print_row(what, f"{least(passed)}; CPU {least(busy)}", limit)
    with MotoServer() as emulator:
        stack = LocalStack.make(emulator)
        print_row("`layoutlm-cli train-worker` from start to first poll", least(_starts(stack)))


def _seconds(code: str) -> tuple[float, float]:
    """How long it took by the clock on the wall, and of the CPU."""
    before, started = _cpu_seconds(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started, _cpu_seconds() - before


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _starts(stack: LocalStack) -> list[float]:
    took = []
    for _ in range(STARTS):
        started = time.time()
        with running(stack, None) as daemon:
            # The line is the last thing before the loop.
            [ready] = daemon.wait_for("worker ready")
        took.append(moment(ready) - started)
    return took
