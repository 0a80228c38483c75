"""The table's clock: what its answers say counts, whatever the host believes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from receipt_dynamo.clock import TableClock, read_time, steady_seconds

EPOCH = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp()


@dataclass
class World:
    """A server whose time is right and a host whose own is off."""

    elapsed: float = 0.0
    host_off: float = 0.0

    def steady(self) -> float:
        return 5000.0 + self.elapsed

    def host(self) -> float:
        return EPOCH + self.elapsed + self.host_off

    def date(self) -> str:
        """The server's date, cut off to seconds."""
        return format_datetime(datetime.fromtimestamp(int(EPOCH + self.elapsed), UTC), usegmt=True)

    def ask(self, clock: TableClock, there: float = 0.01, back: float = 0.01) -> None:
        asked_at = self.steady()
        self.elapsed += there
        date = self.date()
        self.elapsed += back
        clock.hear(date, asked_at)

    def error(self, clock: TableClock) -> float:
        return clock.now().timestamp() - (EPOCH + self.elapsed)


def test_before_any_answer_the_host_is_believed() -> None:
    world = World(host_off=7)
    assert round(world.error(TableClock(world.steady, world.host)), 6) == 7


def test_a_host_that_is_right_is_believed_to_the_microsecond() -> None:
    world = World(elapsed=0.6)
    clock = TableClock(world.steady, world.host)
    world.ask(clock)
    assert abs(world.error(clock)) < 1e-5


@given(
    host_off=st.floats(-86_400, 86_400),
    pauses=st.lists(st.floats(0, 30), min_size=1, max_size=20),
    delays=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=20, max_size=20),
)
def test_whatever_the_host_believes_the_error_stays_below_a_second_and_a_request(
    host_off: float, pauses: list[float], delays: list[tuple[float, float]]
) -> None:
    world = World(host_off=host_off)
    clock = TableClock(world.steady, world.host)
    shortest = float("inf")
    for pause, (there, back) in zip(pauses, delays, strict=False):
        world.elapsed += pause
        world.ask(clock, there, back)
        shortest = min(shortest, there + back)
        assert abs(world.error(clock)) <= 1 + shortest + 1e-5


@given(host_off=st.floats(-5, 5), there=st.floats(0, 3), back=st.floats(0, 3))
def test_a_moment_to_come_is_never_told_too_early_and_the_present_never_too_late(
    host_off: float, there: float, back: float
) -> None:
    world = World(host_off=host_off)
    clock = TableClock(world.steady, world.host)
    world.ask(clock, there, back)
    right = EPOCH + world.elapsed
    assert read_time(clock.text()).timestamp() <= right + 1e-5
    assert read_time(clock.text(30)).timestamp() >= right + 30 - 1e-5


def test_many_answers_narrow_the_time_down() -> None:
    world = World(host_off=300)
    clock = TableClock(world.steady, world.host)
    for _ in range(200):
        world.elapsed += 0.137
        world.ask(clock)
    assert abs(world.error(clock)) < 0.05


def test_a_host_clock_that_is_set_meanwhile_moves_nothing() -> None:
    world = World()
    clock = TableClock(world.steady, world.host)
    for _ in range(200):
        world.elapsed += 0.137
        world.ask(clock)
    world.host_off = -3600
    assert abs(world.error(clock)) < 0.05


def test_a_server_whose_time_jumps_is_followed() -> None:
    world = World()
    clock = TableClock(world.steady, world.host)
    world.ask(clock)
    asked_at = world.steady()
    clock.hear(format_datetime(datetime.fromtimestamp(int(EPOCH) + 90, UTC), usegmt=True), asked_at)
    assert 88 < world.error(clock) < 92


def test_an_answer_without_a_date_says_nothing() -> None:
    world = World(host_off=7)
    clock = TableClock(world.steady, world.host)
    clock.hear(None, world.steady())
    assert round(world.error(clock), 6) == 7


def test_the_steady_clock_goes_forward_and_is_written_as_the_table_writes() -> None:
    assert steady_seconds() <= steady_seconds()
    world = World()
    assert TableClock(world.steady, world.host).text(1.5) == "2026-11-21T12:00:01.500000+00:00"
