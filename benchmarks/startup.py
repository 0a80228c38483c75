"""Measures the start-up time of a command, and the time from a message to its child process."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.daemons import Daemon, Jobs, moment, running
from benchmarks.report import print_row, spread
from workers.local_aws.local_stack import LocalStack, MotoServer

RUNS = 9
JOBS = 15


def measure() -> None:
    """`--help` against a bare interpreter, and sent-to-started over jobs that are done at once."""
    _help()
    with MotoServer() as emulator:
        stack = LocalStack.make(emulator)
        jobs = Jobs.of(stack)
        with running(stack, "child_noop") as daemon:
            took = [_one_job(jobs, daemon, number) for number in range(1, JOBS + 1)]
    print_row("message sent to child started", spread(took))


def _help() -> None:
    bare, command = [], []
    for _ in range(RUNS):
        bare.append(_seconds([sys.executable, "-c", "pass"]))
        command.append(_seconds([sys.executable, "-m", "layoutlm_cli", "--help"]))
    ours, base = statistics.median(command), statistics.median(bare)
    print_row("`layoutlm-cli --help`", f"median {ours:.2f} s of {RUNS} (a bare interpreter: {base:.3f} s)")


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _one_job(jobs: Jobs, daemon: Daemon, number: int) -> float:
    sent = time.time()
    jobs.send()
    started = daemon.wait_for("child started", number)[-1]
    daemon.wait_for("message handled", number)
    return moment(started) - sent
