"""Processes that stand still past their lease and then go on, as those of a host that swaps may do."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import datetime
from typing import Any

import pytest

from tests.chaos.crew import Crew, Job
from tests.chaos.workers import GUARDED_CHILD, Worker

pytestmark = pytest.mark.chaos


async def items_of(crew: Crew, job: Job) -> list[Any]:
    """All that the table says of a job."""
    return sorted((item for item in await crew.stage.items() if job.owner_id in item["PK"]["S"]), key=str)


async def take_over(crew: Crew, job: Job) -> None:
    """Let a second daemon finish the job, and then leave."""
    second = crew.start()
    await crew.stage.wait_until_over(job.owner_id)
    await second.send(signal.SIGTERM)
    assert await second.ended() == 0


async def work_again(crew: Crew, worker: Worker) -> None:
    """See that a daemon goes on as if nothing had been."""
    job = await crew.send("succeed")
    await crew.stage.wait_until_over(job.owner_id)
    await worker.send(signal.SIGTERM)
    assert await worker.ended() == 0


@pytest.mark.parametrize("with_child", [False, True], ids=["daemon", "daemon and child"])
async def test_what_was_frozen_past_its_lease_writes_nothing_when_it_goes_on(
    crew: Crew, with_child: bool
) -> None:
    job = await crew.send("live:60|succeed")
    first = crew.start(GUARDED_CHILD)
    child = await crew.listener.next(job.owner_id)
    frozen = [await first.pid(), *([child.pid] if with_child else [])]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    await take_over(crew, job)
    lease, before = await crew.lease(job), await items_of(crew, job)
    for pid in reversed(frozen):
        os.kill(pid, signal.SIGCONT)
    await work_again(crew, first)
    assert "lease lost" in first.log
    assert await items_of(crew, job) == before
    assert lease.attempt == 2
    claimed_at = datetime.fromisoformat(str(lease.acquired_at)).timestamp()
    assert crew.listener.last(job.owner_id, attempt=1).at < claimed_at
    await crew.check(job)


async def test_a_freeze_that_the_lease_outlives_costs_nothing(crew: Crew) -> None:
    job = await crew.send("live:1.5")
    worker = crew.start(LAYOUTLM_LEASE_SECONDS="6")
    await crew.listener.next(job.owner_id)
    await worker.send(signal.SIGSTOP)
    await asyncio.sleep(1)
    await worker.send(signal.SIGCONT)
    await crew.check(job)
    assert (await crew.lease(job)).attempt == 1
