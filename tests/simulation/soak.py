"""Runs many schedules, a block of seeds at a time, and finds the first that fails."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.simulation.check import Violation
from tests.simulation.draw import draw_plan
from tests.simulation.world import run_plan

BLOCK = 250


def run_block(first: int, work_dir: Path, count: int = BLOCK) -> None:
    """Run the schedules of so many seeds.

    Raises:
        Violation: of the first that fails, with its seed and its story.
    """
    for seed in range(first, first + count):
        run_plan(draw_plan(seed), work_dir)


def soak(first: int, count: int) -> Iterator[tuple[int, str | None]]:
    """Run schedules on all cores; yields each block's first seed, and how it failed if it did."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        starts = range(first, first + count, BLOCK)
        yield from zip(starts, pool.map(_try_block, starts), strict=True)


def _try_block(first: int) -> str | None:
    with tempfile.TemporaryDirectory() as work_dir:
        try:
            run_block(first, Path(work_dir))
        except Violation as violation:
            return "\n".join([str(violation), *violation.__notes__])
    return None
