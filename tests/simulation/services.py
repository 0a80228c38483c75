"""The simulated AWS of one schedule, and the senders who use it without any trouble."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from messages.codec import decode_export_job, decode_train_job, encode
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.clock import TableClock
from receipt_dynamo.errors import AlreadyExists
from receipt_dynamo.operations.leases import LeaseRefused
from tests.simulation.bucket import Objects
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import ENDPOINT, Client, Service
from tests.simulation.plan import TRAINED_ID, TRAINED_NAME, Cancel, Kind, Plan, Request
from tests.simulation.queue import Manners, Queue
from tests.simulation.story import Story
from tests.simulation.table import EPOCH, Table
from workers.jobs.job_record import job_record
from workers.jobs.queue_export import queue_export
from workers.runtime.recovery import register
from workers.settings import Settings

KINDS: tuple[Kind, ...] = ("train", "export")
QUEUE_NAMES = tuple(f"{kind}-{what}" for kind in KINDS for what in ("jobs", "jobs-dead", "results"))


class Services:
    """One table, six queues and a bucket.

    Attributes:
        serve: answers a call: process name, call and arguments to an answer or a future of one.
    """

    def __init__(self, plan: Plan, loop: VirtualLoop, story: Story) -> None:
        self._plan = plan
        self._loop = loop
        self._story = story
        self._draw = random.Random(f"services {plan.seed}")
        self._lost = plan.lost
        self.table = Table(loop.time, lambda: self._draw.uniform(0, plan.index_lag))
        self.queues = {name: self._make_queue(name) for name in QUEUE_NAMES}
        self.bucket = Objects()
        self.serve: dict[Service, Callable[[str, str, dict[str, Any]], Any]] = {
            "table": self.table.answer,
            "queue": self._serve_queue,
            "bucket": self.bucket.answer,
        }

    def jobs(self, kind: Kind) -> Queue:
        """The queue that a kind's workers take jobs from."""
        return self.queues[f"{kind}-jobs"]

    def dead_letters(self, kind: Kind) -> Queue:
        """Its dead-letter queue."""
        return self.queues[f"{kind}-jobs-dead"]

    def results(self, kind: Kind) -> Queue:
        """Where a kind's results go."""
        return self.queues[f"{kind}-results"]

    def behave(self) -> None:
        """From here on lose nothing, and do only what is usual."""
        self._lost = 0.0
        for queue in self.queues.values():
            queue.manners = Manners()

    def _make_queue(self, name: str) -> Queue:
        # Results and dead letters are read by nobody here, so nothing can befall them.
        manners = replace(self._plan.manners) if name.endswith("-jobs") else Manners()
        return Queue(name, self._loop, self._draw, self._plan.max_invisible, manners)

    def _serve_queue(self, actor: str, call: str, arguments: dict[str, Any]) -> Any:
        queue = self.queues[arguments["QueueUrl"].rsplit("/", 1)[1]]
        if call == "send_message" and queue.name.endswith("-jobs") and self._draw.random() < self._lost:
            self._story.note(actor, f"sends to {queue.name} what gets lost")
            return {"MessageId": "lost"}
        if call in {"send_message", "change_message_visibility"}:
            self._story.note(actor, f"{call} {queue.name} {arguments.get('VisibilityTimeout', '')}")
        return getattr(queue, call)(actor, **arguments)


@dataclass(eq=False)
class Senders:
    """Those who ask for jobs and cancel them; nothing happens to their requests on the way.

    Attributes:
        sent: every body that was sent to a job queue.
    """

    services: Services
    settings: Settings
    story: Story
    now: Callable[[], float]
    sent: list[tuple[Kind, str]] = field(default_factory=list)

    async def prepare(self) -> None:
        """Put the training on record that exports belong to."""
        body = json.dumps({"job_id": TRAINED_ID, "job_name": TRAINED_NAME})
        job = decode_train_job(body, message_id="before")
        place = self.settings.runs / f"{TRAINED_NAME}/"
        await self._table().add_job(job_record(job, place, status="succeeded"))

    async def send(self, request: Request) -> None:
        """Send a job's message, and note it in a lease where the sender does that."""
        self.story.note("sender", f"sends {request.kind} {str(request.owner_id)[:8]}")
        if not request.registered:
            self.sent.append((request.kind, request.body))
            self.services.jobs(request.kind).send_message("sender", MessageBody=request.body)
        elif request.kind == "export":
            export = decode_export_job(request.body, message_id="")
            self.sent.append(("export", encode(export)))
            await queue_export(self._table(), self._client("queue"), self.settings, export)
        else:
            await self._submit_training(request.body)

    async def cancel(self, cancel: Cancel) -> None:
        """Ask for a job to stop."""
        self.story.note("sender", f"cancels {cancel.kind} {cancel.owner_id[:8]}")
        table = self._table()
        with suppress(LeaseRefused):
            await table.request_cancel(cancel.owner_id, kind=cancel.kind, now=table.clock.text())

    async def _submit_training(self, text: str) -> None:
        """What `workers.jobs.submit.submit_training` does."""
        job = decode_train_job(text, message_id="")
        body = encode(job)
        self.sent.append(("train", body))
        await self._client("queue").send_message(QueueUrl=f"{ENDPOINT}/train-jobs", MessageBody=body)
        table = self._table()
        with suppress(AlreadyExists):
            place = self.settings.runs / f"{job.job_name}/"
            await table.add_job(job_record(job, place, status="pending"))
        await register(table, self.settings, "train", job.job_id, body)

    def _table(self) -> AsyncDynamoClient:
        clock = TableClock(self.now, lambda: EPOCH + self.now())
        return AsyncDynamoClient("simulated", self._client("table"), clock)

    def bucket(self) -> Any:
        """The senders' client of the bucket."""
        return self._client("bucket")

    def _client(self, service: Service) -> Any:
        async def ask(call: str, arguments: dict[str, Any]) -> Any:
            return self.services.serve[service]("sender", call, arguments)

        return Client(ask)
