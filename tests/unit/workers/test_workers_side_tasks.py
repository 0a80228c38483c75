"""Tasks beside the work: each end of one is seen, and answered by a new start or by the daemon's end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from workers import side_tasks as module
from workers.health import Health
from workers.side_tasks import FAILURES, SideTasks, side_tasks
from workers.stop import Stop
from workers.telemetry.logs import configure_logging

Work = Callable[[], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAUSE_SECONDS", 0.001)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.001)


def failing(times: float, error: BaseException | None = None) -> tuple[Work, list[int]]:
    """Work that fails so often, then goes on for ever; and a list with an entry for each start."""
    starts: list[int] = []

    async def work() -> None:
        starts.append(1)
        if len(starts) <= times:
            raise error or RuntimeError("broken")
        await asyncio.Event().wait()

    return work, starts


async def test_a_task_that_fails_is_logged_with_its_stack_and_started_again() -> None:
    work, starts = failing(1)
    with capture_logs() as logs:
        async with side_tasks(Stop(), Health().report_fault) as tasks:
            tasks.start("listener", work)
            await until(lambda: len(starts) == 2)
    [line] = logs
    assert (line["event"], line["log_level"], line["task"]) == ("side task failed", "error", "listener")
    assert (line["error"], line["failures"]) == ("RuntimeError: broken", 1)
    assert line["exc_info"].__traceback__ is not None


async def test_the_stack_of_a_failure_is_text_in_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    work, starts = failing(1)
    async with side_tasks(Stop(), Health().report_fault) as tasks:
        tasks.start("listener", work)
        await until(lambda: len(starts) == 2)
    [line] = capsys.readouterr().err.splitlines()
    assert 'raise error or RuntimeError("broken")' in json.loads(line)["exception"]


async def test_a_failed_task_shows_in_health_until_it_has_run_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STEADY_SECONDS", 0.3)
    health = Health()
    work, starts = failing(2)
    async with side_tasks(Stop(), health.report_fault) as tasks:
        tasks.start("listener", work)
        await until(lambda: len(starts) == 3)
        report = health.report()
        assert (report.fresh, report.stale) == (False, ())
        assert report.reasons == ("listener failed, 2 in a row: RuntimeError: broken",)
        await until(lambda: health.report().fresh)
    assert health.report().reasons == ()


async def test_a_vital_task_that_keeps_failing_ends_the_daemon_as_a_stop_does() -> None:
    stop = Stop()
    work, starts = failing(float("inf"))
    async with side_tasks(stop, Health().report_fault) as tasks:
        tasks.start("listener", work)
        await asyncio.wait_for(stop.requested.wait(), 10)
        assert len(starts) == FAILURES
        await until(lambda: len(starts) > FAILURES)  # a drain takes a while, and it may recover
    assert (stop.takes_no_more, stop.leave.is_set(), stop.now.is_set()) == (True, True, False)
    assert stop.failure is not None
    assert stop.failure.exit_code == 70
    assert "listener failed, 5 in a row: RuntimeError: broken" in str(stop.why)
    stop.request()  # the service manager's signal during that drain
    assert not stop.now.is_set()


async def test_a_task_that_one_can_do_without_is_started_again_for_ever() -> None:
    stop = Stop()
    work, starts = failing(float("inf"))
    async with side_tasks(stop, Health().report_fault) as tasks:
        tasks.start("status socket", work, vital=False)
        await until(lambda: len(starts) > 3 * FAILURES)
    assert not stop.takes_no_more


async def test_failures_far_from_each_other_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEADY_SECONDS", 0.001)
    stop, starts = Stop(), []

    async def work() -> None:
        starts.append(1)
        await asyncio.sleep(0.02)
        raise RuntimeError("now and then")

    async with side_tasks(stop, Health().report_fault) as tasks:
        tasks.start("listener", work)
        await until(lambda: len(starts) > 2 * FAILURES)
    assert not stop.takes_no_more


async def test_a_task_that_ends_by_itself_stays_ended_and_is_no_fault() -> None:
    health, starts = Health(), []

    async def work() -> None:
        starts.append(1)

    async with side_tasks(Stop(), health.report_fault) as tasks:
        tasks.start("stop note", work)
        await asyncio.sleep(0.05)
    assert (starts, health.report().fresh) == ([1], True)


async def test_a_cancellation_that_nobody_asked_for_is_a_failure_and_the_blocks_end_is_none() -> None:
    work, starts = failing(1, asyncio.CancelledError())
    with capture_logs() as logs:
        async with side_tasks(Stop(), Health().report_fault) as tasks:
            tasks.start("listener", work)
            await until(lambda: len(starts) == 2)
    assert [line["event"] for line in logs] == ["side task failed"]


async def test_a_failing_task_leaves_the_others_alone() -> None:
    health = Health()
    tasks = SideTasks(Stop(), health.report_fault)
    broken, _ = failing(float("inf"))
    sound, starts = failing(0)
    tasks.start("broken", broken)
    tasks.start("sound", sound)
    await until(lambda: bool(health.report().faults))
    await tasks.cancel()
    assert (len(starts), set(health.report().faults)) == (1, {"broken"})
