"""Measures an idle daemon and one whose child works: memory, CPU, and imported modules."""

from __future__ import annotations

import time

import psutil

from benchmarks.daemons import Jobs, running
from benchmarks.report import print_row
from workers.local_aws.local_stack import LocalStack, MotoServer

SECONDS = 30.0
SETTLE_SECONDS = 5.0


def measure() -> None:
    """Resident memory and CPU over half a minute, without and with a job."""
    with MotoServer() as emulator:
        stack = LocalStack.make(emulator)
        for name in ("train-worker", "export-worker"):
            with running(stack, None, name=name) as daemon:
                print_row(f"waiting {name}", _watch(daemon.seen))
        Jobs.of(stack).send()
        with running(stack, "child_waiting") as daemon:
            daemon.wait_for("progress")
            print_row("train-worker with a job, its child aside", _watch(daemon.seen))


def _watch(process: psutil.Process) -> str:
    time.sleep(SETTLE_SECONDS)
    before = sum(process.cpu_times()[:2])
    time.sleep(SECONDS)
    busy = sum(process.cpu_times()[:2]) - before
    torch = any("torch" in mapped.path for mapped in process.memory_maps())
    return (
        f"{process.memory_info().rss / 1e6:.0f} MB resident, {busy / SECONDS:.2%} CPU over {SECONDS:.0f} s, "
        f"torch {'imported' if torch else 'not imported'}"
    )
