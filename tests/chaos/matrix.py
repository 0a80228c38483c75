"""Plays a job twice for each AWS call that it makes: a worker dies before it or after it, another goes on."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobLease
from tests.chaos.calls import Point
from tests.chaos.ending import check
from tests.chaos.listener import Listener, Word
from tests.chaos.scenarios import Scenario
from tests.chaos.stage import Clients, Stage
from tests.chaos.workers import CHILD, Order, Workers
from workers.jobs.export import ExportHandler
from workers.jobs.training import TrainingHandler
from workers.runtime.job_handler import JobHandler
from workers.runtime.loop import run_until_stopped
from workers.runtime.message_processor import MessageProcessor
from workers.runtime.recovery import OrphanRecovery
from workers.sqs.queue import Received
from workers.stop import Stop

QUICK = {
    "LAYOUTLM_LEASE_SECONDS": "2",
    "LAYOUTLM_POLL_SECONDS": "0",
    "LAYOUTLM_DRAIN_SECONDS": "30",
    "LAYOUTLM_RETRY_BASE_SECONDS": "0",
    "LAYOUTLM_ORPHAN_SECONDS": "0.5",
    "LAYOUTLM_SWEEP_SECONDS": "0.01",
}
SIGKILLED = -9
TRIES = 3
"""Runs in which a worker may be too slow or too fast to come to its point."""
FIRST_WORKERS_AT_ONCE = 3
CASES_AT_ONCE = 12
SECOND_WORKER_SECONDS = 60
SECOND_LEASE_SECONDS = 4
"""Longer than the first worker's: all second workers share this process."""
IDLE_SECONDS = 0.3


class _Training(TrainingHandler):
    module = CHILD


class _Exporting(ExportHandler):
    module = CHILD


@dataclass(slots=True)
class Matrix:
    """Plays scenarios.

    Attributes:
        workers: where first workers come from.
        clients: of the emulator in which everything happens.
        folder: for journals, logs and the workers' files.
        listener: hears the children that ask to be cancelled.
    """

    workers: Workers
    clients: Clients
    folder: Path
    listener: Listener
    _starting: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(FIRST_WORKERS_AT_ONCE), init=False
    )
    _playing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CASES_AT_ONCE), init=False)
    _stages: dict[str, Stage] = field(default_factory=dict, init=False)
    _cancels: set[asyncio.Task[JobLease]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.listener.call(self._cancel)

    async def play_all(self, scenario: Scenario, points: list[Point]) -> None:
        """Play every point of a scenario, some at a time; all that went wrong is told together."""
        outcomes = await asyncio.gather(
            *(self.play(scenario, point) for point in points), return_exceptions=True
        )
        faults = []
        for point, outcome in zip(points, outcomes, strict=True):
            if isinstance(outcome, Exception):
                outcome.add_note(f"{scenario}: died {point}")
                faults.append(outcome)
        if faults:
            raise ExceptionGroup(f"{len(faults)} of {len(points)} cases", faults)

    async def points(self, scenario: Scenario) -> list[Point]:
        """Let the job run undisturbed, twice; returns both sides of each call that it makes every time."""
        first, second = [await self._calls(scenario) for _ in range(2)]
        calls = _span([call for call in first if call in second], scenario)
        assert any(call.startswith(scenario.passes) for call in calls), f"{scenario.passes!r} not in {calls}"
        return [Point(call, side) for call in calls for side in ("before", "after")]

    async def play(self, scenario: Scenario, point: Point) -> None:
        """Cut the power of the first worker at the point, let a second one go on, look at what is left."""
        async with self._playing:
            for _ in range(TRIES):
                code, _ = await self._play_once(scenario, point)
                if code == SIGKILLED:
                    return
        raise AssertionError(f"in {TRIES} runs, no worker came to {point}")

    async def _calls(self, scenario: Scenario) -> list[str]:
        code, journal = await self._play_once(scenario, None)
        assert code == 0
        calls = journal.read_text().splitlines()
        while "following" in calls[-1]:  # waiting for the next job
            calls.pop()
        return calls

    async def _play_once(self, scenario: Scenario, cut_at: Point | None) -> tuple[int, Path]:
        stage = await Stage.make(scenario.kind, self.clients, self.folder, **QUICK, **scenario.environ)
        owner_id = str(uuid.uuid4())
        case = self.folder / owner_id
        order = Order(scenario.kind, stage.environ, f"{case}.log", f"{case}.calls", cut_at)
        self._stages[owner_id] = stage
        await scenario.bring_about(stage, owner_id)
        async with self._starting:
            worker = self.workers.start(order)
            code = await worker.ended()
        assert code in {0, SIGKILLED}, f"the first worker ended with {code}: {worker.log[-2000:]}"
        if code == SIGKILLED:
            # Nothing tells when the lease of the dead ends; until then the second worker would only ask.
            await asyncio.sleep(stage.settings.lease_seconds)
        await finish_with_second_worker(stage, owner_id)
        check(scenario, owner_id, await stage.read())
        return code, Path(f"{case}.calls")

    def _cancel(self, word: Word) -> None:
        """Do for a child what a person does with `layoutlm-cli cancel`."""
        stage = self._stages[word.owner_id]
        request = asyncio.create_task(stage.table.request_cancel(word.owner_id, kind=stage.kind, now=now()))
        self._cancels.add(request)
        request.add_done_callback(self._cancels.discard)


def _span(calls: list[str], scenario: Scenario) -> list[str]:
    """The calls at which the scenario's workers die."""
    if scenario.after:
        calls = calls[calls.index(scenario.after) + 1 :]
    ends = [n for n, call in enumerate(calls, start=1) if scenario.until and call.startswith(scenario.until)]
    return calls[: ends[0]] if ends else calls


async def finish_with_second_worker(stage: Stage, owner_id: str) -> None:
    """Be a worker like any other until nothing is left to do."""
    settings = stage.settings.model_copy(update={"lease_seconds": SECOND_LEASE_SECONDS})
    kind = _kind(stage)
    stop = Stop()
    handler = MessageProcessor(kind, stage.queue, stage.table, settings, stop, "second")
    sweep = OrphanRecovery(kind, stage.queue, stage.table, stage.settings)

    async def leave_when_over() -> None:
        if await stage.is_over(owner_id):
            stop.request()

    async def handle(message: Received) -> None:
        await handler.handle(message)
        await leave_when_over()

    async def idle() -> None:
        await sweep.run_if_due()
        await asyncio.sleep(IDLE_SECONDS)
        await leave_when_over()

    async with asyncio.timeout(SECOND_WORKER_SECONDS):
        await run_until_stopped(stage.queue, handle, stop, settings, idle=idle)


def _kind(stage: Stage) -> JobHandler[Any]:
    if stage.kind == "train":
        return _Training(stage.settings, stage.table, stage.clients.sqs, "second")
    return _Exporting(stage.settings, stage.table, stage.clients.sqs)
