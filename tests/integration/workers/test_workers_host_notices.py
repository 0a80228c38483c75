"""EC2 notices and a worker's reactions, against a service over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.fake_imds import REBALANCE, SPOT, TARGET_STATE, FakeImds, fake_imds
from workers.health import HOST_SECONDS, Health
from workers.host.imds import metadata_opened
from workers.host.spot_listener import NOTICES, Listener, Notice, read_notice
from workers.host.systemd_notify import may_live
from workers.settings import Settings
from workers.stop import Stop

NOW = datetime(2026, 11, 21, 8, 20, tzinfo=UTC)
SETTINGS = Settings.from_environ({"LAYOUTLM_DRAIN_SECONDS": "40", "LAYOUTLM_SPOT_MARGIN_SECONDS": "20"})


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    with fake_imds() as imds:
        yield imds


@pytest.fixture
async def listener(imds: FakeImds) -> AsyncIterator[Listener]:
    settings = SETTINGS.model_copy(update={"metadata_url": imds.url})
    async with metadata_opened(settings) as metadata:
        assert metadata is not None
        yield Listener(metadata, settings, Stop(), Health())


@pytest.mark.parametrize(
    ("path", "body", "notice"),
    [
        (
            SPOT,
            '{"action": "terminate", "time": "2026-11-21T08:21:30Z"}',
            Notice("Spot interruption notice for 2026-11-21T08:21:30Z", 70),
        ),
        (
            SPOT,
            '{"action": "stop", "time": "2026-11-21T09:20:00Z"}',
            Notice("Spot interruption notice for 2026-11-21T09:20:00Z", 100),
        ),
        (
            SPOT,
            '{"action": "hibernate", "time": "2026-11-21T08:19:00Z"}',
            Notice("Spot interruption notice for 2026-11-21T08:19:00Z", 1),
        ),
        (SPOT, "soon", Notice("Spot interruption notice without a time", 100)),
        (SPOT, "[]", Notice("Spot interruption notice without a time", 100)),
        (SPOT, "[" * 100_000, Notice("Spot interruption notice without a time", 100)),
        (
            SPOT,
            '{"action": "terminate", "time": "9999-12-31T23:59:59-14:00"}',
            Notice("Spot interruption notice without a time", 100),
        ),
        (
            SPOT,
            '{"action": "terminate", "time": "0001-01-01T00:00:00+14:00"}',
            Notice("Spot interruption notice without a time", 100),
        ),
        (SPOT, '{"time": {"time": 1e999}}', Notice("Spot interruption notice without a time", 100)),
        (SPOT, '{"time": "2026-11-21"}', Notice("Spot interruption notice for 2026-11-21T00:00:00Z", 1)),
        (TARGET_STATE, "InService", None),
        (TARGET_STATE, "Standby", None),
        (TARGET_STATE, "Terminated", Notice("Auto Scaling ends this instance", 40, terminating=True)),
        (
            REBALANCE,
            '{"noticeTime": "2026-11-21T08:19:00Z"}',
            Notice("Rebalance recommendation of 2026-11-21T08:19:00Z"),
        ),
        (REBALANCE, "{}", Notice("Rebalance recommendation without a time")),
        (
            REBALANCE,
            '{"noticeTime": "9999-12-31T23:59:59-14:00"}',
            Notice("Rebalance recommendation without a time"),
        ),
    ],
)
def test_each_notice_has_its_text_and_its_drain(path: str, body: str, notice: Notice | None) -> None:
    assert read_notice(path, body, SETTINGS, NOW) == notice


async def test_a_host_that_says_nothing_stops_nobody(listener: Listener) -> None:
    await listener.listen()
    assert not listener.stop.takes_no_more
    assert listener.health.report().notice is None


TIMES = st.datetimes(
    timezones=st.timezones() | st.sampled_from([timezone(timedelta(hours=h)) for h in (-14, 14)])
)
BODIES = st.one_of(
    st.text(),
    st.integers(1, 5000).map(lambda depth: "[" * depth + "]" * depth),
    st.recursive(
        st.none() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["time", "noticeTime", "x"]), inner),
    ).map(json.dumps),
    st.builds(
        lambda name, moment: json.dumps({name: moment.isoformat()}),
        st.sampled_from(["time", "noticeTime"]),
        TIMES,
    ),
)


@given(path=st.sampled_from(sorted(NOTICES)), body=BODIES, now=st.datetimes(timezones=st.just(UTC)))
def test_whatever_a_notice_says_it_is_read_within_the_bounds_of_a_notice(
    path: str, body: str, now: datetime
) -> None:
    notice = read_notice(path, body, SETTINGS, now)
    if notice is not None:
        assert len(notice.text) < 100
        assert notice.drain_seconds is None or 1 <= notice.drain_seconds <= 100


@pytest.mark.parametrize("trouble", ["broken", "silent"])
async def test_a_service_that_is_not_up_at_the_boot_is_heard_later_and_missed_meanwhile(
    listener: Listener, imds: FakeImds, trouble: str
) -> None:
    setattr(imds, trouble, True)
    with capture_logs() as logs:
        for _ in range(2):
            await listener.listen()
        assert not listener.answered.is_set()
        setattr(imds, trouble, False)
        at = imds.announce_interruption()
        await listener.listen()
    assert listener.stop.why == f"Spot interruption notice for {at}"
    assert [line["event"] for line in logs] == [
        "instance metadata does not answer; asked again and again",
        "notice from the host",
        "instance metadata answers again",
    ]


async def test_a_service_in_trouble_is_asked_ever_more_slowly_up_to_a_bound(
    listener: Listener, imds: FakeImds, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        imds.broken = len(pauses) < 7
        if len(pauses) == 9:
            raise RuntimeError("enough")

    monkeypatch.setattr("workers.host.spot_listener.asyncio.sleep", sleep)
    imds.broken = True
    with pytest.raises(RuntimeError, match="enough"):
        await listener.keep_listening()
    assert pauses == [2, 4, 8, 15, 15, 15, 15, 1, 1]


async def test_a_path_that_fails_hides_no_notice_at_the_others_and_leaves_the_host_unheard(
    listener: Listener, imds: FakeImds
) -> None:
    imds.statuses[SPOT] = 500
    imds.recommend_rebalance()
    await listener.listen()
    assert listener.stop.takes_no_more
    assert not listener.answered.is_set()


def test_a_host_that_is_expected_to_answer_and_does_not_makes_a_worker_stale_but_costs_no_life() -> None:
    now = [0.0]
    health = Health(steady=lambda: now[0])
    now[0] = 30.0
    health.polled()
    assert health.report().signs["host"].limit_seconds is None  # not on EC2
    health.host_answered()
    now[0] += HOST_SECONDS
    health.polled()
    assert health.report().fresh
    now[0] += 0.1
    report = health.report()
    [reason] = report.reasons
    assert reason.startswith("the instance metadata service has not answered for 45.1 s (limit 45.0 s)")
    assert may_live(report)
    health.host_answered()
    assert health.report().fresh


async def test_a_spot_notice_stops_with_the_time_that_is_left_and_is_said_once(
    listener: Listener, imds: FakeImds
) -> None:
    at = imds.announce_interruption(120)
    with capture_logs() as logs:
        for _ in range(3):
            await listener.listen()
    assert listener.stop.requested.is_set()
    assert listener.stop.why == listener.health.report().notice == f"Spot interruption notice for {at}"
    assert 90 < listener.stop.drain_seconds(600) <= 100
    assert [line["event"] for line in logs] == ["notice from the host"]


async def test_a_rebalance_recommendation_lets_the_running_job_end(
    listener: Listener, imds: FakeImds
) -> None:
    at = imds.recommend_rebalance()
    await listener.listen()
    assert (listener.stop.takes_no_more, listener.stop.requested.is_set()) == (True, False)
    assert listener.stop.why is None
    assert listener.health.report().notice == f"Rebalance recommendation of {at}"


async def test_an_outage_is_said_when_it_begins_and_when_it_ends_and_hides_no_notice(
    listener: Listener, imds: FakeImds
) -> None:
    with capture_logs() as logs:
        await listener.listen()
        imds.broken = True
        for _ in range(3):
            await listener.listen()
        imds.announce_interruption()
        imds.broken = False
        await listener.listen()
    assert [line["event"] for line in logs] == [
        "instance metadata does not answer; asked again and again",
        "notice from the host",
        "instance metadata answers again",
    ]
    assert listener.stop.requested.is_set()


async def test_the_hosts_shutdown_does_not_skip_the_waiting_but_a_second_signal_does() -> None:
    stop = Stop()
    stop.request_within(60, "Spot interruption notice")
    stop.request()
    assert not stop.now.is_set()
    stop.request()
    assert stop.now.is_set()


async def test_the_hosts_deadline_ends_a_drain_that_a_signal_began() -> None:
    stop = Stop()
    stop.request()
    assert stop.drain_seconds(600) == 600
    stop.request_within(0.01, "Spot interruption notice")
    await asyncio.wait_for(stop.now.wait(), 5)
    assert stop.drain_seconds(600) == 0


async def test_of_several_deadlines_the_earliest_counts_and_the_first_reason_stays() -> None:
    stop = Stop()
    stop.request_within(30, "first")
    stop.request_within(600, "second")
    assert stop.drain_seconds(100) <= 30
    assert stop.why == "first"


def test_a_worker_whose_host_goes_is_shown_as_stopping_and_needs_no_polls() -> None:
    now = [0.0]
    health = Health(steady=lambda: now[0])
    health.polled()
    health.noticed("Rebalance recommendation")
    now[0] = 1000.0
    report = health.report()
    assert (report.state, report.fresh, report.signs["poll"].limit_seconds) == ("stopping", True, None)


def test_a_worker_that_ends_its_last_job_is_shown_as_working() -> None:
    health = Health()
    health.began("train", "a job", 1)
    health.noticed("Rebalance recommendation")
    assert health.report().state == "working"
