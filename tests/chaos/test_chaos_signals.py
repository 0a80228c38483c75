"""Being told to stop, in every moment in which a daemon can be told."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from receipt_dynamo.entities import Job, JobStatus
from tests.chaos.crew import Crew
from tests.chaos.gate import Gate
from tests.chaos.workers import Worker

pytestmark = pytest.mark.chaos

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])


async def stop(worker: Worker, manager: socket.socket, number: signal.Signals) -> None:
    """Send the signal, and wait until the daemon tells its service manager that it stops."""
    await worker.send(number)
    while b"STOPPING=1" not in await asyncio.get_running_loop().sock_recv(manager, 1000):
        pass


@pytest.fixture
def manager(folder: Path) -> Iterator[socket.socket]:
    address = folder / "manager"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(address))
        listening.setblocking(False)
        yield listening
    address.unlink()


@BOTH
async def test_a_message_that_arrives_during_the_stop_is_handed_back_at_once(
    crew: Crew, gate: Gate, manager: socket.socket, number: signal.Signals
) -> None:
    worker = crew.start(
        AWS_ENDPOINT_URL=gate.url,
        LAYOUTLM_POLL_SECONDS="20",
        LAYOUTLM_LEASE_SECONDS="60",
        NOTIFY_SOCKET=manager.getsockname(),
    )
    await gate.asked("ReceiveMessage")
    await stop(worker, manager, number)
    handing_back = asyncio.create_task(gate.asked("ChangeMessageVisibility"))
    await crew.send()
    sent_at = time.monotonic()
    await handing_back
    message = await crew.stage.queue.receive(wait_seconds=5, visibility_seconds=5)
    assert message is not None
    assert message.receive_count == 2
    assert time.monotonic() - sent_at < 1
    assert await worker.ended() == 0


@BOTH
async def test_a_stopped_daemon_interrupts_its_job_which_the_next_goes_on_with_at_once(
    crew: Crew, number: signal.Signals
) -> None:
    job = await crew.send("live:60|succeed")
    first = crew.start(LAYOUTLM_LEASE_SECONDS="60")
    await crew.listener.next(job.owner_id)
    await first.send(number)
    assert await first.ended() == 0
    stopped_at = time.monotonic()
    crew.start()
    remains = await crew.check(job)
    assert time.monotonic() - stopped_at < 10  # and not after the lease's 60 seconds
    assert [note.status for note in remains.of(JobStatus)].count("interrupted") == 1
    assert (await crew.lease(job)).attempt == 2


async def test_a_second_signal_does_not_wait_for_a_child_that_does_not_listen(
    crew: Crew, manager: socket.socket
) -> None:
    job = await crew.send("deaf:60|succeed")
    first = crew.start(
        LAYOUTLM_DRAIN_SECONDS="60", LAYOUTLM_LEASE_SECONDS="60", NOTIFY_SOCKET=manager.getsockname()
    )
    await crew.listener.next(job.owner_id)
    await stop(first, manager, signal.SIGTERM)
    await crew.listener.next(job.owner_id)  # it lives on
    await first.send(signal.SIGTERM)
    assert await first.ended(within_seconds=10) == 0
    crew.start()
    remains = await crew.check(job)
    [record] = remains.of(Job)
    assert (record.status, record.attempt) == ("succeeded", 2)
