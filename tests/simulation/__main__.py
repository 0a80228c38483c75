"""`python -m tests.simulation SEED` tells one schedule; `--soak COUNT` runs many."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.simulation.check import Violation
from tests.simulation.draw import draw_plan
from tests.simulation.soak import soak
from tests.simulation.world import run_plan


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 1 if a schedule fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", default=0, help="schedule to replay, or the first one")
    parser.add_argument("--soak", type=int, metavar="COUNT", help="run so many schedules")
    given = parser.parse_args(arguments)
    return _replay(given.seed) if given.soak is None else _soak(given.seed, given.soak)


def _replay(seed: int) -> int:
    with tempfile.TemporaryDirectory() as work_dir:
        try:
            world = run_plan(draw_plan(seed), Path(work_dir), verbose=True)
        except Violation as violation:
            _say("\n".join([*violation.__notes__, f"VIOLATION: {violation}"]))
            return 1
    _say(f"{world.story}\nevery invariant holds")
    return 0


def _soak(first: int, count: int) -> int:
    began = time.monotonic()
    failed = 0
    for start, failure in soak(first, count):
        if failure is not None:
            failed += 1
            _say(failure)
        done = start - first
        if done and done % 10_000 == 0:
            _say(f"{done} schedules, {failed} blocks with a failure, {time.monotonic() - began:.0f} s")
    _say(f"{count} schedules in {time.monotonic() - began:.0f} s; {failed} blocks with a failure")
    return 1 if failed else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
