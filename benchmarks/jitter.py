"""Measures how regularly a starved host renews its lease while a job takes every core."""

from __future__ import annotations

import os
import time
from itertools import pairwise

from benchmarks.daemons import Daemon, Jobs, running
from benchmarks.report import percentile, print_row
from workers.local_aws.local_stack import LocalStack, MotoServer
from workers.runtime.lease import BEATS_PER_LEASE

LEASE_SECONDS = 1.8
BEATS = 110
VARIANTS = {"the child as it is started": "0", "the child at niceness 5 more": "5"}
LIMIT = 0.2


def measure() -> None:
    """A B in one run."""
    for what, nice in VARIANTS.items():
        with MotoServer() as emulator:
            late = _lateness(LocalStack.make(emulator), nice)
        interval = LEASE_SECONDS / BEATS_PER_LEASE
        p99 = percentile(late, 99)
        print_row(
            f"beat jitter, {os.cpu_count()} busy processes on {os.cpu_count()} cores, {what}",
            f"p99 {p99 * 1000:.0f} ms, {p99 / interval:.1%} of {interval:.1f} s; median "
            f"{percentile(late, 50) * 1000:.0f} ms, worst {max(late) * 1000:.0f} ms of {len(late)}",
            f"{LIMIT:.0%}",
        )


def _lateness(stack: LocalStack, nice: str) -> list[float]:
    """By how much the time between two renewals differs from the interval, in seconds."""
    Jobs.of(stack).send()
    with running(
        stack,
        "child_busy",
        calls=True,
        BENCH_NICE=nice,
        LAYOUTLM_LEASE_SECONDS=str(LEASE_SECONDS),
    ) as daemon:
        daemon.wait_for("progress")
        before = len(_updates(daemon))
        # Nothing but the beat updates anything now, so nobody has to look before it is done.
        while len(moments := _updates(daemon)[before:]) <= BEATS:
            time.sleep(LEASE_SECONDS)
    interval = LEASE_SECONDS / BEATS_PER_LEASE
    return [abs(after - moment - interval) for moment, after in pairwise(moments)]


def _updates(daemon: Daemon) -> list[float]:
    """When the daemon asked the table to update something."""
    calls = [line.split() for line in daemon.calls.read_text().splitlines()]
    return [float(second) for second, target in calls if target.endswith(".UpdateItem")]
