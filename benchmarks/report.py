"""Figures as rows of a table, so that what a run prints can be pasted into docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil


def print_header() -> None:
    """When and on what, as a heading, and the head of the table."""
    load = os.getloadavg()[0]
    memory = psutil.virtual_memory().total / 2**30
    print(
        f"### {datetime.now(UTC):%Y-%m-%d}, {platform.node()}: {os.cpu_count()} cores {_processor()}, "
        f"{memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}\n\n"
        f"Load {load:.1f} at the start."
    )
    print("\n| What | Figure | Limit |\n| --- | --- | --- |", flush=True)


def print_row(what: str, figure: str, limit: str = "") -> None:
    """One figure, with the limit that it has to keep, if there is one."""
    print(f"| {what} | {figure} | {limit} |", flush=True)


def spread(seconds: Sequence[float]) -> str:
    """Median, worst and number of some times, in milliseconds."""
    median, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
    return f"median {median:.0f} ms, worst {worst:.0f} ms of {len(seconds)}"


def least(seconds: Sequence[float]) -> str:
    """Median and minimum, in milliseconds: on a machine that others use, the minimum says more."""
    return f"median {statistics.median(seconds) * 1000:.0f} ms, minimum {min(seconds) * 1000:.0f} ms"


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent of all do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
