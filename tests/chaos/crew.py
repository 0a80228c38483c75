"""Daemons at work on a stage: started, hurt and looked at by the tests that say what for."""

from __future__ import annotations

import signal
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from receipt_dynamo.entities import JobLease
from tests.chaos.ending import check
from tests.chaos.listener import Listener
from tests.chaos.scenarios import Outcome, Scenario
from tests.chaos.stage import Clients, Remains, Stage
from tests.chaos.workers import CHILD, Order, Worker, Workers

SETTINGS = {
    "LAYOUTLM_LEASE_SECONDS": "3",
    "LAYOUTLM_POLL_SECONDS": "1",
    "LAYOUTLM_DRAIN_SECONDS": "20",
    "LAYOUTLM_RETRY_BASE_SECONDS": "0",
    "LAYOUTLM_MAX_ATTEMPTS": "100",  # a killed child counts
    "LAYOUTLM_MAX_CLAIMS": "100",
}


@dataclass(frozen=True, slots=True)
class Job:
    """A training that was sent."""

    owner_id: str
    scenario: Scenario
    body: str


@dataclass(frozen=True, slots=True)
class Crew:
    """One stage, and what works on it.

    Attributes:
        stage: table and queues.
        workers: where daemons come from.
        folder: for their logs.
        listener: hears their children.
        hired: every daemon that was started.
    """

    stage: Stage
    workers: Workers
    folder: Path
    listener: Listener
    hired: list[Worker] = field(default_factory=list)

    @classmethod
    async def gather(cls, clients: Clients, workers: Workers, folder: Path, listener: Listener) -> Crew:
        """Make a stage; nobody works on it yet."""
        stage = await Stage.make("train", clients, folder, **SETTINGS)
        return cls(stage, workers, folder, listener)

    def start(self, child: str = CHILD, **environ: str) -> Worker:
        """Start a daemon, with settings of its own."""
        log = self.folder / f"{uuid.uuid4()}.log"
        order = Order("train", {**self.stage.environ, **environ}, str(log), child=child)
        self.hired.append(self.workers.start(order))
        return self.hired[-1]

    async def dismiss(self) -> None:
        """End every daemon by force, frozen ones too."""
        for worker in self.hired:
            await worker.send(signal.SIGKILL)
            await worker.ended()

    async def send(self, script: str = "succeed", outcome: Outcome = "succeeded") -> Job:
        """Send a training that plays a script."""
        scenario = Scenario("a training", "train", script, outcome)
        owner_id = str(uuid.uuid4())
        job = Job(owner_id, scenario, scenario.body(owner_id))
        await self.stage.send(job.body)
        return job

    async def lease(self, job: Job) -> JobLease:
        """A job's lease as it stands."""
        lease = await self.stage.table.get_lease(job.owner_id, kind="train")
        assert lease is not None
        return lease

    async def check(self, *jobs: Job, within_seconds: float = 60) -> Remains:
        """Wait until the jobs are over; each has ended once, and as it should. Returns all that is left."""
        await self.stage.wait_until_over(*(job.owner_id for job in jobs), within_seconds=within_seconds)
        remains = await self.stage.read()
        for job in jobs:
            check(
                job.scenario,
                job.owner_id,
                remains.only(job.owner_id, job.scenario.job(job.owner_id).export_id),
            )
        return remains
