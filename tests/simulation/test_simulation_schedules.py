"""The first thousand schedules. `python -m tests.simulation SEED` replays one that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.soak import BLOCK, run_block


@pytest.mark.parametrize("first", range(0, 1000, BLOCK))
def test_every_invariant_holds(first: int, tmp_path: Path) -> None:
    run_block(first, tmp_path)
