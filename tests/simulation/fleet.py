"""The workers of one schedule: the real parts of a daemon on simulated hosts, started again when they end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import TableClock
from receipt_dynamo.errors import DynamoError
from tests.simulation.check import Auditor, Violation
from tests.simulation.child import SimulatedChild, read_task
from tests.simulation.loop import Process, VirtualLoop, context_of
from tests.simulation.network import ENDPOINT, Host, Wire
from tests.simulation.plan import Kind, Plan
from tests.simulation.services import Services
from tests.simulation.story import Story
from tests.simulation.table import EPOCH
from workers.aws_clients import Aws
from workers.errors import QueueError, WorkerError
from workers.health import Health
from workers.jobs.registry import make_kind
from workers.runtime.child import ChildSpec
from workers.runtime.loop import run_until_stopped
from workers.runtime.message_processor import MessageProcessor
from workers.runtime.recovery import OrphanRecovery
from workers.runtime.startup_probe import NOBODY
from workers.settings import Settings
from workers.sqs.queue import JobQueue
from workers.stop import Stop

RESTART_SECONDS = 5.0
"""How long a host's supervisor waits before it starts a worker again."""


@dataclass(slots=True, eq=False)
class Life:
    """One worker process from its start to its end.

    Attributes:
        dead: whether it was ended by force; it is stopped then for good.
        disturbed: whether anything has befallen it that excuses a lost lease.
        bucket: its client of the bucket.
    """

    process: Process
    stop: Stop = field(default_factory=Stop)
    work: asyncio.Task[None] | None = None
    child: SimulatedChild | None = None
    dead: bool = False
    disturbed: bool = False
    bucket: Any = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.dead or (self.work is not None and self.work.done())


@dataclass(slots=True, eq=False)
class Slot:
    """A place for a worker on a host of its own.

    Attributes:
        calls: how many requests of each kind its workers have sent, all together under None.
    """

    number: int
    kind: Kind
    host: Host
    lives: list[Life] = field(default_factory=list)
    calls: Counter[str | None] = field(default_factory=Counter)

    @property
    def life(self) -> Life:
        """The present worker, or the last one."""
        return self.lives[-1]


class Fleet:
    """All workers.

    Attributes:
        slots: their places.
        over: set when the schedule is torn down.
        strike: told of each request of a worker: where, which call, and whether it is answered.
    """

    def __init__(
        self,
        plan: Plan,
        loop: VirtualLoop,
        services: Services,
        settings: Settings,
        story: Story,
        *,
        guarded: bool,
    ) -> None:
        self.slots = [
            Slot(number, one.kind, Host(f"host{number}", one.booted, one.wrong_by, one.slowest))
            for number, one in enumerate(plan.workers)
        ]
        self.over = asyncio.Event()
        self.strike: Callable[[Slot, str, bool], None] = lambda *_: None
        self._plan = plan
        self._loop = loop
        self._services = services
        self._settings = settings
        self._story = story
        self._guarded = guarded
        self._stopping = False
        self._draw = random.Random(f"fleet {plan.seed}")
        self.auditor: Auditor

    def life_of(self, process: Process | None) -> tuple[Slot, Life] | None:
        """Find whose process that is."""
        return next(
            ((slot, life) for slot in self.slots for life in slot.lives if life.process is process), None
        )

    def is_polite(self, name: str) -> bool:
        """Whether nothing has befallen the process of that name."""
        return not any(life.disturbed for life in self._lives(name))

    def is_stopping(self, name: str) -> bool:
        """Whether that process has been asked to stop."""
        return any(life.stop.requested.is_set() for life in self._lives(name))

    def _lives(self, name: str) -> Iterator[Life]:
        return (life for slot in self.slots for life in slot.lives if life.process.name == name)

    def start(self, slot: Slot) -> None:
        """Start a worker."""
        life = Life(Process(f"{slot.kind}{slot.number}.{len(slot.lives) + 1}"))
        slot.lives.append(life)
        self._story.note(life.process.name, "starts")
        life.work = self._loop.create_task(self._work(slot, life), context=context_of(life.process))
        life.work.add_done_callback(partial(self._note_end, slot, life), context=context_of(None))

    def start_again(self, slot: Slot, ended: Life) -> None:
        """Start a worker where one has ended, unless that has been done."""
        if slot.life is ended and not self._stopping:
            self.start(slot)

    def stop(self) -> None:
        """Ask all to stop, for good."""
        self._stopping = True
        for slot in self.slots:
            self.ask_to_stop(slot.life)

    def ask_to_stop(self, life: Life) -> None:
        """Send SIGTERM to a worker."""
        self._loop.call_soon(life.stop.request, context=context_of(life.process))

    def has_stopped(self) -> bool:
        """Whether no worker runs."""
        return all(slot.life.is_over for slot in self.slots)

    async def _work(self, slot: Slot, life: Life) -> None:
        """What `workers.daemon.run_daemon` does, with our clients and clocks."""
        host, settings, worker = slot.host, self._settings, life.process.name
        fate = _Fate(self, slot)
        wire = Wire(self._loop, life.process, host, self._services.serve, fate, self._draw, self.over)
        clock = TableClock(self._steady(host), lambda: EPOCH + self._loop.time() + host.wrong_by)
        aws = Aws(AsyncDynamoClient("simulated", wire.client("table"), clock), wire.client("queue"))
        life.bucket = wire.client("bucket")
        url = f"{ENDPOINT}/{slot.kind}-jobs"
        queue = JobQueue(aws.sqs, url, f"{url}-dead", clock.steady)
        await aws.table.get_lease(NOBODY, kind="train")
        kind = make_kind(slot.kind, settings, aws, worker)
        health = Health(steady=clock.steady)
        start_child: Any = partial(self._start_child, slot, life)
        handler = MessageProcessor(kind, queue, aws.table, settings, life.stop, worker, health, start_child)
        sweep = OrphanRecovery(kind, queue, aws.table, settings)
        await run_until_stopped(
            queue, handler.handle, life.stop, settings, health=health, idle=sweep.run_if_due
        )

    def _steady(self, host: Host) -> Callable[[], float]:
        return lambda: self._loop.time() - host.booted

    async def _start_child(self, slot: Slot, life: Life, spec: ChildSpec, on_report: Any) -> SimulatedChild:
        task = read_task(spec.job_file)
        kind: Kind = "export" if "training_job_id" in task else "train"
        owner_id = task["job"]["export_id" if kind == "export" else "job_id"]
        script = self._plan.script(kind, owner_id, task["attempt"])
        process = Process(f"{life.process.name}/child{task['attempt']}")
        self._story.note(
            process.name, f"starts on {kind} {owner_id[:8]}, attempt {task['attempt']}: {script}"
        )
        life.child = SimulatedChild(
            process,
            life.process,
            slot.host,
            self._loop,
            task,
            script,
            on_report,
            self.auditor,
            guarded=self._guarded,
        )
        # The process runs already; whatever befalls its daemon now finds it without a deadline.
        _Fate(self, slot).before("spawn")
        await asyncio.sleep(0)
        return life.child

    def _note_end(self, slot: Slot, life: Life, work: asyncio.Task[None]) -> None:
        if self.over.is_set():
            return
        name, error = life.process.name, work.exception()
        if error is not None and not isinstance(error, WorkerError | DynamoError | QueueError):
            raise Violation(f"{name} died of a fault of its own: {error!r}") from error
        self._story.note(name, "ends" if error is None else f"ends: {error}")
        if error is None and not life.disturbed:
            self.auditor.left_peacefully(name, self._services.queues.values())
        self._loop.call_later(RESTART_SECONDS, self.start_again, slot, life)


@dataclass(slots=True)
class _Fate:
    """Counts a worker's requests, and lets happen what waits for one."""

    fleet: Fleet
    slot: Slot

    def before(self, call: str) -> None:
        self.slot.calls.update((None, call))
        self.fleet.strike(self.slot, call, False)

    def after(self, call: str) -> None:
        self.fleet.strike(self.slot, call, True)
