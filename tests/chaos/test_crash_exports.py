"""The crash matrix of the export worker: it dies at each AWS call, and another finishes the job."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.matrix import Matrix
from tests.chaos.scenarios import EXPORTS, Scenario

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("scenario", EXPORTS, ids=str)
async def test_wherever_the_worker_dies_the_job_ends_once(
    matrix: Matrix, scenario: Scenario, record_property: Callable[[str, int], None]
) -> None:
    points = await matrix.points(scenario)
    record_property("crash matrix", len(points))
    await matrix.play_all(scenario, points)
