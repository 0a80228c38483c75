"""Runs one schedule: real workers, simulated AWS and time, and everything that its plan has in store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.simulation.check import Auditor, Violation
from tests.simulation.ending import Ending
from tests.simulation.fleet import Fleet
from tests.simulation.loop import PROCESS, VirtualLoop
from tests.simulation.mishaps import Mishaps
from tests.simulation.network import ENDPOINT
from tests.simulation.plan import Plan
from tests.simulation.services import KINDS, Senders, Services
from tests.simulation.story import Story
from tests.simulation.surroundings import virtual_surroundings
from workers.settings import Settings

LONGEST_SECONDS = 7200.0
"""So long after the last fault every job has to have ended; what has not is lost."""
LONGEST_STOP_SECONDS = 300.0
_LOOK_SECONDS = 5.0


class World:
    """One schedule while it runs.

    Args:
        plan: what shall happen.
        work_dir: a folder for job files.
        guarded: whether children heed their deadline.
    """

    def __init__(self, plan: Plan, work_dir: Path, *, guarded: bool = True) -> None:
        self.plan = plan
        self.loop = VirtualLoop()
        self.story = Story(self.loop.time)
        self._settings = _BASE.model_copy(update={**plan.settings, "work_dir": work_dir})
        self.services = Services(plan, self.loop, self.story)
        self.fleet = Fleet(plan, self.loop, self.services, self._settings, self.story, guarded=guarded)
        self.auditor = Auditor(
            self.loop.time,
            self.services.table,
            {kind: self.services.dead_letters(kind) for kind in KINDS},
            self._settings.message_seconds,
            self.fleet.is_polite,
            self.fleet.is_stopping,
            self.story.note,
        )
        self._mishaps = Mishaps(plan, self.loop, self.services, self.fleet, self.story)
        self._senders = Senders(self.services, self._settings, self.story, self.loop.time)
        self._be_watched()

    def bucket(self) -> Any:
        """The client of the bucket of whoever asks: a worker, or the senders."""
        found = self.fleet.life_of(PROCESS.get())
        return found[1].bucket if found else self._senders.bucket()

    def run(self) -> None:
        """Let it all happen.

        Raises:
            Violation: an invariant does not hold.
        """
        try:
            self.loop.run_until_complete(self._live())
        finally:
            self._tear_down()

    def _be_watched(self) -> None:
        self.fleet.auditor = self.auditor
        self.services.table.on_write = self.auditor.written
        for kind in KINDS:
            self.services.jobs(kind).on_delete = partial(self.auditor.deleted, kind)
            self.services.results(kind).on_send = partial(self.auditor.sent_result, kind)

    async def _live(self) -> None:
        await self._senders.prepare()
        for slot in self.fleet.slots:
            self.fleet.start(slot)
        for moment, happen in self._events():
            self.loop.call_at(moment, happen)
        await asyncio.sleep(self._mishaps.end())
        self._mishaps.heal()
        await self._until(self._is_quiet, LONGEST_SECONDS, "not every job has ended")
        self.fleet.stop()
        await self._until(self.fleet.has_stopped, LONGEST_STOP_SECONDS, "not every worker has stopped")
        self._check()

    def _events(self) -> Iterator[tuple[float, Callable[[], object]]]:
        for request in self.plan.requests:
            yield request.at, partial(self._spawn, self._senders.send, request)
        for cancel in self.plan.cancels:
            yield cancel.at, partial(self._spawn, self._senders.cancel, cancel)
        yield from self._mishaps.events()

    def _spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        # What fails here is a fault of the simulation: let it be heard.
        self.loop.create_task(work(*args)).add_done_callback(lambda done: done.result())

    async def _until(self, is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
        deadline = self.loop.time() + seconds
        while not is_so():
            if self.loop.time() > deadline:
                raise Violation(f"{otherwise} after {seconds:.0f} seconds: {self._unfinished()}")
            await asyncio.sleep(_LOOK_SECONDS)

    def _is_quiet(self) -> bool:
        messages = any(self.services.jobs(slot.kind).messages for slot in self.fleet.slots)
        return not messages and not self._open_leases()

    def _open_leases(self) -> list[Any]:
        """Leases of work that is left; one without a request is only a cancel that came first."""
        kinds = {slot.kind for slot in self.fleet.slots}
        leases = [item for item in self.services.table.items.values() if item["TYPE"]["S"] == "JOB_LEASE"]
        return [
            item
            for item in leases
            if item["state"]["S"] != "closed" and "body" in item and item["kind"]["S"] in kinds
        ]

    def _unfinished(self) -> str:
        leases = [f"{one['PK']['S']} {one['state']['S']}" for one in self._open_leases()]
        messages = [name for kind in KINDS for name in self.services.jobs(kind).messages]
        return f"leases {leases}, messages {messages}"

    def _check(self) -> None:
        ending = Ending(self.services.table, self.auditor.results, self.services.bucket)
        owners = {(one.kind, one.owner_id) for one in self.plan.requests if one.owner_id is not None}
        for kind, owner_id in sorted(owners):
            ending.check_job(kind, owner_id)
        if "export" in {slot.kind for slot in self.fleet.slots}:
            ending.check_exports()
        for kind in KINDS:
            sent = [body for of, body in self._senders.sent if of == kind]
            ending.check_dead_letters(kind, self.services.dead_letters(kind), sent)
        if self.story.defects or self.loop.faults:
            raise Violation(f"errors of the workers themselves: {self.story.defects + self.loop.faults}")

    def _tear_down(self) -> None:
        """End every task, those of the dead too, by cancellation: what they do now touches nothing."""
        self.fleet.over.set()
        for slot in self.fleet.slots:
            for life in slot.lives:
                life.process.go_on(self.loop)
        self.loop.run_until_complete(_cancel_all())


async def _cancel_all() -> None:
    mine = asyncio.current_task()
    while left := [task for task in asyncio.all_tasks() if task is not mine]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=60)


_BASE = Settings.from_environ(
    {
        "DYNAMO_TABLE_NAME": "simulated",
        "LAYOUTLM_TRAINING_BUCKET": "bucket",
        "TRAIN_JOB_QUEUE_URL": f"{ENDPOINT}/train-jobs",
        "TRAIN_RESULTS_QUEUE_URL": f"{ENDPOINT}/train-results",
        "COREML_EXPORT_JOB_QUEUE_URL": f"{ENDPOINT}/export-jobs",
        "COREML_EXPORT_RESULTS_QUEUE_URL": f"{ENDPOINT}/export-results",
    }
)


def run_plan(plan: Plan, work_dir: Path, *, guarded: bool = True, verbose: bool = False) -> World:
    """Run a schedule.

    Raises:
        Violation: with its seed and its story.
    """
    world = World(plan, work_dir, guarded=guarded)
    with virtual_surroundings(world, verbose=verbose):
        try:
            world.run()
        except Violation as violation:
            violation.add_note(f"seed {plan.seed}; replay it: python -m tests.simulation {plan.seed}")
            violation.add_note(str(world.story))
            raise
    return world
