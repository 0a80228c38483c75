"""The second thousand schedules, in a file of their own for a core of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.soak import BLOCK, run_block


@pytest.mark.parametrize("first", range(1000, 2000, BLOCK))
def test_every_invariant_holds(first: int, tmp_path: Path) -> None:
    run_block(first, tmp_path)
