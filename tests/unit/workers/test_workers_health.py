"""Health on clocks that the test turns: every limit, every gap, and what follows for the watchdog."""

from __future__ import annotations

from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from workers.health import Health, HealthLimits
from workers.host.systemd_notify import describe, may_live
from workers.runtime.loop_monitor import Moment, compare, monitor_loop
from workers.settings import Settings

LIMITS = HealthLimits(loop=2, poll=35, beat=45, child=900)
JOB_ID = "11111111-1111-4111-8111-111111111111"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    """A worker that has just polled."""
    health = Health(LIMITS, clock)
    health.polled()
    return health


def stale_after(health: Health, clock: Clock, seconds: float) -> tuple[str, ...]:
    clock.seconds += seconds
    return health.report().stale


def test_limits_follow_the_settings() -> None:
    settings = Settings.from_environ(
        {
            "LAYOUTLM_POLL_SECONDS": "5",
            "LAYOUTLM_LEASE_SECONDS": "30",
            "LAYOUTLM_STALL_SECONDS": "60",
        }
    )
    assert HealthLimits.of(settings) == HealthLimits(poll=20, beat=15, child=60)


def test_the_limits_without_settings_are_those_of_the_default_settings() -> None:
    assert HealthLimits.of(Settings.from_environ({})) == HealthLimits()


def test_a_worker_is_starting_until_a_receive_was_answered(clock: Clock) -> None:
    health = Health(LIMITS, clock)
    health.receive_failed()
    assert (health.report().state, health.ready.is_set()) == ("starting", False)
    assert stale_after(health, clock, 36) == ("poll",)
    health.polled()
    report = health.report()
    assert (report.state, report.fresh, report.since_seconds, health.ready.is_set()) == (
        "idle",
        True,
        0,
        True,
    )


def test_an_idle_worker_is_fresh_while_its_polls_are_answered_and_no_longer(
    health: Health, clock: Clock
) -> None:
    assert stale_after(health, clock, 35) == ()
    health.polled()
    assert stale_after(health, clock, 35) == ()
    assert stale_after(health, clock, 0.1) == ("poll",)
    assert health.report().reasons == ("no receive was answered for 35.1 s (limit 35.0 s)",)


def test_receives_that_fail_for_a_while_are_counted_in_the_reason(health: Health, clock: Clock) -> None:
    health.receive_failed()
    assert health.report().fresh
    clock.seconds += 40
    health.receive_failed()
    report = health.report()
    assert report.reasons == ("no receive was answered for 40.0 s (limit 35.0 s); 2 in a row failed",)
    health.polled()
    assert (health.report().fresh, health.report().failed_receives) == (True, 0)


def test_a_held_job_expects_beats_and_no_polls(health: Health, clock: Clock) -> None:
    clock.seconds += 30
    health.began("train", JOB_ID, 2)
    assert stale_after(health, clock, 45) == ()
    assert stale_after(health, clock, 0.1) == ("beat",)
    assert health.report().reasons == ("the lease was not renewed for 45.1 s (limit 45.0 s)",)
    health.record_heartbeat()
    report = health.report()
    assert (report.fresh, report.state) == (True, "working")
    assert report.signs["poll"].limit_seconds is None
    assert report.job is not None
    assert (report.job.kind, report.job.job_id, report.job.attempt) == ("train", JOB_ID, 2)


def test_after_a_job_polls_count_from_its_end_and_beats_no_longer(health: Health, clock: Clock) -> None:
    health.began("train", JOB_ID, 1)
    clock.seconds += 7200
    health.ended("DONE")
    report = health.report()
    assert (report.state, report.job, report.fresh, report.handled) == ("idle", None, True, {"DONE": 1})
    assert stale_after(health, clock, 36) == ("poll",)


def test_a_child_that_says_nothing_makes_the_worker_stale_until_it_speaks_or_ends(
    health: Health, clock: Clock
) -> None:
    health.began("train", JOB_ID, 1)
    health.child_started(4711)
    clock.seconds += 901
    health.record_heartbeat()
    assert health.report().child_pid == 4711
    assert health.report().reasons == ("the child has said nothing for 901.0 s (limit 900.0 s)",)
    health.record_report()
    assert health.report().fresh
    clock.seconds += 901
    health.child_ended()
    health.record_heartbeat()
    assert (health.report().fresh, health.report().child_pid) == (True, None)


def test_a_loop_that_woke_up_late_is_stale_until_it_wakes_up_in_time(health: Health, clock: Clock) -> None:
    health.ticked(2.5)
    assert health.report().reasons == ("the event loop wakes up 2.5 s late (limit 2.0 s)",)
    health.ticked(0.1)
    assert health.report().fresh


def test_a_tick_that_is_overdue_counts_before_it_comes(health: Health, clock: Clock) -> None:
    health.ticked(0.0)
    assert stale_after(health, clock, 3.0) == ()
    assert stale_after(health, clock, 0.1) == ("loop",)


def test_endings_are_counted_by_name(health: Health) -> None:
    for ending in ("DONE", "LATER", "DONE"):
        health.ended(ending)
    assert health.report().handled == {"DONE": 2, "LATER": 1}


def test_a_stopping_worker_says_so_and_keeps_its_job(health: Health) -> None:
    health.began("export", JOB_ID, 1)
    health.stopping()
    assert (health.report().state, health.report().job is not None) == ("stopping", True)


def test_a_silent_child_does_not_cost_the_daemon_its_life_but_all_else_does(
    health: Health, clock: Clock
) -> None:
    health.began("train", JOB_ID, 1)
    health.child_started(1)
    clock.seconds += 901
    health.record_heartbeat()
    assert may_live(health.report())
    clock.seconds += 46
    assert not may_live(health.report())
    health.record_heartbeat()
    health.ticked(9)
    assert not may_live(health.report())
    health.ticked(0)
    health.ended("DONE")
    assert may_live(health.report())
    clock.seconds += 0.5
    health.ticked(0)
    clock.seconds += 35
    health.ticked(0)
    assert not may_live(health.report())


def test_the_line_for_people_changes_with_the_state_and_not_with_the_time(
    health: Health, clock: Clock
) -> None:
    assert describe(health.report()) == "idle; 0 handled"
    health.began("train", JOB_ID, 2)
    assert describe(health.report()) == f"working: train {JOB_ID}, attempt 2; 0 handled"
    clock.seconds += 50
    before = describe(health.report())
    assert before == f"working: train {JOB_ID}, attempt 2; 0 handled; not fresh: beat"
    clock.seconds += 50
    assert describe(health.report()) == before


@pytest.mark.parametrize(
    ("after", "event", "size"),
    [
        (Moment(1, 1, 1), None, None),
        (Moment(1.4, 1.4, 1.9), None, None),
        (Moment(5, 5, 5), "event loop was late", {"late_seconds": 4}),
        (Moment(3601, 1, 3601), "host slept", {"slept_seconds": 3600}),
        (Moment(1, 1, -59), "clock was set", {"by_seconds": -60}),
        (Moment(1, 1, 121), "clock was set", {"by_seconds": 120}),
    ],
)
def test_a_gap_between_two_ticks_is_logged_with_its_size(
    health: Health, after: Moment, event: str | None, size: dict[str, float] | None
) -> None:
    with capture_logs() as logs:
        compare(health, Moment(0, 0, 0), after)
    assert [line["event"] for line in logs] == ([event] if event else [])
    assert all(line[name] == value for line in logs for name, value in (size or {}).items())


async def test_the_watch_compares_each_tick_with_the_one_before(health: Health) -> None:
    moments = iter([Moment(0, 0, 0), Moment(4, 4, 4), Moment(5, 5, 5)])
    lags = []

    async def sleep(_: float) -> None:
        lag = health.report().signs["loop"].age_seconds
        lags.append(lag)

    with suppress(RuntimeError), capture_logs():  # a coroutine makes one of the iterator's end
        await monitor_loop(health, lambda: next(moments), sleep)
    assert lags == [None, 3, 0]
