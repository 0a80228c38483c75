"""Processes that are killed, and messages that come twice: each job ends once."""

from __future__ import annotations

import os
import signal
from datetime import datetime

import pytest

from tests.chaos.crew import Crew
from tests.chaos.listener import Word
from tests.chaos.workers import GUARDED_CHILD, Worker

pytestmark = pytest.mark.chaos


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def cut_power(worker: Worker, child: Word) -> None:
    """End daemon and child in the same moment: neither hears of the other's end."""
    await worker.send(signal.SIGSTOP)
    os.kill(child.pid, signal.SIGKILL)
    await worker.send(signal.SIGKILL)


async def test_a_killed_daemons_child_ends_before_another_daemon_takes_the_job(crew: Crew) -> None:
    job = await crew.send("live:60|succeed")
    first = crew.start(GUARDED_CHILD)
    await crew.listener.next(job.owner_id)
    await first.send(signal.SIGKILL)
    crew.start()
    await crew.check(job)
    lease = await crew.lease(job)
    assert lease.attempt == 2
    assert crew.listener.last(job.owner_id, attempt=1).at < seconds(str(lease.acquired_at))


async def test_a_killed_child_counts_as_a_failed_attempt_and_its_daemon_goes_on(crew: Crew) -> None:
    job = await crew.send("live:60|succeed")
    worker = crew.start()
    os.kill((await crew.listener.next(job.owner_id)).pid, signal.SIGKILL)
    await crew.check(job)
    [failure] = (await crew.lease(job)).failures
    assert failure["error_class"] in {"host", "memory"}  # who killed it, only the kernel knows
    assert not worker.gone.done()


async def test_daemon_and_child_killed_together_leave_a_job_that_another_finishes(crew: Crew) -> None:
    job = await crew.send("live:60|succeed")
    first = crew.start()
    await cut_power(first, await crew.listener.next(job.owner_id))
    crew.start()
    await crew.check(job)
    assert (await crew.lease(job)).attempt == 2


async def test_hosts_that_lose_power_cost_attempts_but_are_no_failures_of_the_job(crew: Crew) -> None:
    job = await crew.send("live:60|live:60|succeed")
    for attempt in (1, 2):
        worker = crew.start()
        await cut_power(worker, await crew.listener.next(job.owner_id, attempt))
    crew.start()
    await crew.check(job)
    lease = await crew.lease(job)
    assert (lease.attempt, lease.failures) == (3, [])


async def test_the_same_message_twice_for_two_daemons_is_worked_on_once(crew: Crew) -> None:
    job = await crew.send("live:1.5")
    await crew.stage.send(job.body)
    crew.start(), crew.start()
    await crew.check(job)
    assert crew.listener.attempts(job.owner_id) == {1}
    assert len({word.pid for word in crew.listener.words}) == 1


async def test_a_message_that_comes_again_after_the_end_brings_the_same_result_and_no_work(
    crew: Crew,
) -> None:
    job = await crew.send("live:0.1")
    crew.start()
    await crew.stage.wait_until_over(job.owner_id)
    spoken = len(crew.listener.words)
    await crew.stage.send(job.body)
    remains = await crew.check(job)
    assert len(remains.sent["results"]) == 2
    assert len(crew.listener.words) == spoken
