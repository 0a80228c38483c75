"""The way to AWS: gone and back, silent, refusing for a while. Nothing is lost, and nothing comes twice."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.crew import Crew
from tests.chaos.gate import Gate, Refusal
from tests.chaos.workers import GUARDED_CHILD, Worker

pytestmark = pytest.mark.chaos


def start(crew: Crew, gate: Gate, **environ: str) -> Worker:
    return crew.start(GUARDED_CHILD, **{"AWS_ENDPOINT_URL": gate.url, **environ})


async def test_an_idle_daemon_outlives_a_server_that_goes_and_comes_back(crew: Crew, gate: Gate) -> None:
    worker = start(crew, gate)
    await gate.asked("ReceiveMessage")
    await gate.close()
    await asyncio.sleep(1)
    await gate.open()
    await crew.check(await crew.send())
    assert not worker.gone.done()


async def test_a_daemon_that_starts_before_its_server_waits_for_it(crew: Crew, gate: Gate) -> None:
    job = await crew.send()
    await gate.close()
    start(crew, gate)
    await asyncio.sleep(1)
    await gate.open()
    await crew.check(job)


@pytest.mark.parametrize("silent", [False, True], ids=["gone", "silent"])
async def test_a_lease_outlives_a_server_that_is_away_for_less(crew: Crew, gate: Gate, silent: bool) -> None:
    job = await crew.send("live:4")
    start(crew, gate, LAYOUTLM_LEASE_SECONDS="6")
    await crew.listener.next(job.owner_id)
    await away(gate, 2, silent=silent)
    await crew.check(job)
    assert (await crew.lease(job)).attempt == 1


@pytest.mark.parametrize("silent", [False, True], ids=["gone", "silent"])
async def test_a_server_that_is_away_for_longer_than_the_lease_costs_one_attempt(
    crew: Crew, gate: Gate, silent: bool
) -> None:
    job = await crew.send("live:60|succeed")
    worker = start(crew, gate)
    await crew.listener.next(job.owner_id)
    await away(gate, 4, silent=silent)
    await crew.check(job)
    assert (await crew.lease(job)).attempt == 2
    assert not worker.gone.done()


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "ExpiredTokenException", "InternalServerError"], ids=str
)
async def test_an_aws_that_refuses_for_a_while_at_the_end_of_a_job_costs_nothing(
    crew: Crew, gate: Gate, code: str
) -> None:
    job = await crew.send("live:1")
    start(crew, gate, LAYOUTLM_LEASE_SECONDS="10")
    await crew.listener.next(job.owner_id)
    gate.refusal = Refusal(code, 500 if code == "InternalServerError" else 400)
    await asyncio.sleep(2)  # the child ends in this time
    gate.refusal = None
    await crew.check(job)
    assert (await crew.lease(job)).attempt == 1


async def away(gate: Gate, seconds: float, *, silent: bool) -> None:
    if silent:
        gate.hold()
    else:
        await gate.close()
    await asyncio.sleep(seconds)
    if silent:
        gate.flow()
    else:
        await gate.open()
