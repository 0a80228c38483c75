"""Depth and age of every queue."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workers.aws_errors import sqs_errors_translated
from workers.errors import NoDeadLetterQueue, QueueError, WorkerError
from workers.settings import Settings
from workers.sqs.dead_letters import SOURCES, QueueName
from workers.sqs.queue import MAX_BATCH, JobQueue

LOOK_HIDES_SECONDS = 5
"""Bounds what a look that is killed keeps from the workers."""
_DEPTH = {
    "visible": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@dataclass(frozen=True, slots=True)
class Depth:
    """The number of messages in a queue, as SQS estimates it.

    Attributes:
        visible: the next receive may get them.
        in_flight: received and not deleted yet.
        delayed: not to be received yet.
    """

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.visible + self.in_flight + self.delayed


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue, or why it cannot be read.

    Attributes:
        url: None where the environment names none.
        depth: None where it cannot be read.
        dead: of its dead-letter queue; None where it has none.
        error: what to do about it.
    """

    name: QueueName
    variable: str
    url: str | None = None
    depth: Depth | None = None
    dead: Depth | None = None
    error: str | None = None


async def read_queues(sqs: Any, settings: Settings) -> list[QueueState]:
    """Read how full each of the four queues is; four requests a queue, and none hides a message.

    Raises:
        QueueError, WorkerError: not one of those that are set can be read; the first one's error.
    """
    ends = await asyncio.gather(*(_read(sqs, settings, name) for name in SOURCES), return_exceptions=True)
    states = [_state(settings, name, end) for name, end in zip(SOURCES, ends, strict=True)]
    failures = [end for end in ends if isinstance(end, BaseException)]
    if failures and not any(state.depth for state in states):
        raise failures[0]
    return states


async def look_for_oldest(sqs: Any, settings: Settings, name: QueueName) -> datetime | None:
    """The time at which the oldest message of one receive was sent; None where there is no message.

    SQS reports the age of the oldest message only to CloudWatch, and delivers messages in about their order:
    the queue's oldest is at least as old. The messages count as received once more, and are visible again at
    once.

    Raises:
        SettingsError: the queue is not set.
        QueueError: SQS cannot be asked now.
    """
    settings.require(SOURCES[name].setting)
    queue = JobQueue(sqs, getattr(settings, SOURCES[name].setting), "")
    found = await queue.receive_batch(
        wait_seconds=1, visibility_seconds=LOOK_HIDES_SECONDS, at_most=MAX_BATCH
    )
    await queue.show_all_after(found, 0)
    return min((message.sent_at for message in found if message.sent_at), default=None)


def variable_of(name: QueueName) -> str:
    """The environment variable that carries a queue's URL."""
    return str(Settings.model_fields[SOURCES[name].setting].alias)


async def _read(sqs: Any, settings: Settings, name: QueueName) -> tuple[Depth, Depth | None] | None:
    url = getattr(settings, SOURCES[name].setting)
    if url is None:
        return None
    try:
        queue = await JobQueue.open(sqs, url)
    except NoDeadLetterQueue:
        return await read_depth(sqs, url), None
    return await read_depth(sqs, url), await read_depth(sqs, queue.dead_letter_url)


async def read_depth(sqs: Any, url: str) -> Depth:
    """Read how full one queue is.

    Raises:
        QueueError, QueueUnusable: SQS does not say.
    """
    async with sqs_errors_translated(url):
        answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_DEPTH.values()))
        return Depth(**{field: int(answer["Attributes"][name]) for field, name in _DEPTH.items()})


def _state(
    settings: Settings, name: QueueName, end: tuple[Depth, Depth | None] | BaseException | None
) -> QueueState:
    url, variable = getattr(settings, SOURCES[name].setting), variable_of(name)
    if isinstance(end, QueueError | WorkerError):
        return QueueState(name, variable, url, error=str(end))
    if isinstance(end, BaseException):
        raise end
    depth, dead = end or (None, None)
    return QueueState(name, variable, url, depth, dead)
