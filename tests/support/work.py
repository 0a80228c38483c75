"""A worker's parts put together for a test: real queue, real table, real child processes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.aws_clients import Aws, open_aws
from workers.jobs.export import ExportHandler
from workers.jobs.training import TrainingHandler
from workers.local_aws.local_stack import LocalStack
from workers.runtime.loop import run_until_stopped
from workers.runtime.message_processor import MessageProcessor
from workers.runtime.recovery import OrphanRecovery
from workers.settings import Settings
from workers.sqs.queue import JobQueue
from workers.stop import Stop

SCRIPTED = "tests.support.scripted_child"


class ScriptedTraining(TrainingHandler):
    module = SCRIPTED


class ScriptedExporting(ExportHandler):
    module = SCRIPTED


@dataclass
class Bench:
    """A worker on the bench: everything that a daemon has, and the means to look at what it did."""

    stack: LocalStack
    settings: Settings
    aws: Aws
    queue: JobQueue
    stop: Stop
    handler: MessageProcessor[Any]
    results_url: str

    async def send(self, body: object, **attributes: str) -> str:
        text = body if isinstance(body, str) else json.dumps(body)
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        answer = await self.aws.sqs.send_message(
            QueueUrl=self.queue.url, MessageBody=text, MessageAttributes=typed
        )
        return str(answer["MessageId"])

    async def work_once(self) -> None:
        await run_until_stopped(self.queue, self.handler.handle, self.stop, self.settings, once=True)

    @property
    def sweep(self) -> OrphanRecovery[Any]:
        return OrphanRecovery(self.handler.kind, self.queue, self.aws.table, self.settings)

    async def results(self) -> list[dict[str, Any]]:
        return await self.read(self.results_url)

    async def read(self, url: str) -> list[dict[str, Any]]:
        """Take all messages off a queue; returns their bodies."""
        bodies = []
        while messages := (await self.aws.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)).get(
            "Messages"
        ):
            for message in messages:
                bodies.append(json.loads(message["Body"]))
                await self.aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    async def depth(self, url: str | None = None) -> tuple[int, int]:
        """How many messages a queue holds: visible, and received but not deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.aws.sqs.get_queue_attributes(QueueUrl=url or self.queue.url, AttributeNames=names)
        visible, hidden = (int(answer["Attributes"][name]) for name in names)
        return visible, hidden


@asynccontextmanager
async def training_bench(
    stack: LocalStack, work_dir: Path, kind: type[TrainingHandler] = ScriptedTraining, **changes: Any
) -> AsyncIterator[Bench]:
    async with _bench(stack, work_dir, kind, changes) as bench:
        yield bench


@asynccontextmanager
async def export_bench(
    stack: LocalStack, work_dir: Path, kind: type[ExportHandler] = ScriptedExporting, **changes: Any
) -> AsyncIterator[Bench]:
    async with _bench(stack, work_dir, kind, changes) as bench:
        yield bench


@asynccontextmanager
async def _bench(
    stack: LocalStack, work_dir: Path, kind: type[TrainingHandler | ExportHandler], changes: dict[str, Any]
) -> AsyncIterator[Bench]:
    quick = {"poll_seconds": 0, "lease_seconds": 30, "retry_base_seconds": 0, "work_dir": work_dir}
    settings = stack.settings.model_copy(update={**quick, **changes})
    jobs, results = (getattr(settings, f"{kind.name}_{what}_queue_url") for what in ("job", "results"))
    async with open_aws(settings) as aws:
        queue = await JobQueue.open(aws.sqs, jobs)
        stop = Stop()
        handler = MessageProcessor(make_kind(kind, settings, aws), queue, aws.table, settings, stop, "bench")
        yield Bench(stack, settings, aws, queue, stop, handler, results)


def make_kind(kind: type[TrainingHandler | ExportHandler], settings: Settings, aws: Aws) -> Any:
    if issubclass(kind, TrainingHandler):
        return kind(settings, aws.table, aws.sqs, "bench")
    return kind(settings, aws.table, aws.sqs)
