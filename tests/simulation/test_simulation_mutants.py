"""The proof that the simulation can fail: each classic fault, put into the real code, is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.check import Violation
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.world import run_plan

SCHEDULES = 300


def find(mutant: Mutant, work_dir: Path) -> int | None:
    """Return the first schedule that fails with the fault in the code."""
    for seed in range(SCHEDULES):
        try:
            with mutant.put_in():
                run_plan(mutant.plan(seed), work_dir, guarded=mutant.guarded)
        except Violation:
            return seed
    return None


@pytest.mark.parametrize("name", MUTANTS)
def test_the_fault_is_found_and_it_is_the_fault(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    seed = find(mutant, tmp_path)
    assert seed is not None
    run_plan(mutant.plan(seed), tmp_path, guarded=mutant.guarded or mutant.is_in_the_child)
