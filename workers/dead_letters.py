"""Finding dead letters by hand: all of them, and without taking them from others for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from workers.aws import open_aws
from workers.dead_letter import HIDDEN_SECONDS, SOURCES, DeadLetter, LetterMissing, QueueName
from workers.errors import NoDeadLetterQueue, QueueError
from workers.queue import JobQueue, Received
from workers.settings import Settings

LOOK_SECONDS = 1
"""SQS answers at once from some of its servers only; a receive that waits asks them all."""


@asynccontextmanager
async def dead_letters(
    settings: Settings, queue: QueueName | None = None, *, wait_seconds: int = LOOK_SECONDS
) -> AsyncIterator[list[DeadLetter]]:
    """The dead letters of one queue, or of all that are set and have any; the oldest first.

    They are hidden from others while the block runs, and those that are still there are shown again at once.

    Raises:
        SettingsError: the queue is not set, or none is.
        NoDeadLetterQueue: the named queue has none.
        QueueError: SQS cannot be asked now.
    """
    wanted: Iterable[QueueName] = [queue] if queue else SOURCES
    names = [name for name in wanted if queue or getattr(settings, SOURCES[name].setting)]
    settings.require(*(SOURCES[name].setting for name in names or wanted))
    async with open_aws(settings) as aws:
        looks = [
            look for name in names if (look := await _open(aws.sqs, settings, name, required=bool(queue)))
        ]
        hiding = asyncio.create_task(_keep_hidden(looks))
        try:
            ends = await asyncio.gather(
                *(look.collect(wait_seconds) for look in looks), return_exceptions=True
            )
            for failure in filter(None, ends):
                raise failure
            yield sorted((letter for look in looks for letter in look.letters()), key=lambda one: one.when)
        finally:
            hiding.cancel()
            await asyncio.wait({hiding})
            for look in looks:
                await look.hide(0)
            if not hiding.cancelled():
                hiding.result()  # what ended it early: the letters may have shown themselves to others


def choose(letters: Sequence[DeadLetter], ids: Sequence[str]) -> list[DeadLetter]:
    """The letters of these ids, in their order.

    Raises:
        LetterMissing: naming each id that none of them has.
    """
    by_id = {letter.id: letter for letter in letters}
    missing = [one for one in ids if one not in by_id]
    if missing:
        raise LetterMissing(
            f"There is no dead letter {', '.join(missing)}. `layoutlm-cli dlq list` shows them; one that "
            f"somebody else looks at just now shows itself again within {HIDDEN_SECONDS} seconds."
        )
    return [by_id[one] for one in dict.fromkeys(ids)]


@dataclass(frozen=True, slots=True)
class _Look:
    """One dead-letter queue while it is looked at, with what is hidden from others meanwhile."""

    name: QueueName
    source: JobQueue
    dead: JobQueue
    held: dict[str, Received] = field(default_factory=dict)

    async def collect(self, wait_seconds: int) -> None:
        """Receive until there is nothing left, or nothing new."""
        while batch := await self.dead.receive_batch(
            wait_seconds=wait_seconds, visibility_seconds=HIDDEN_SECONDS
        ):
            new = {message.message_id for message in batch} - self.held.keys()
            # The newest delivery counts: an older one's handle has lost its message.
            self.held.update((message.message_id, message) for message in batch)
            if not new:
                return

    async def hide(self, seconds: float) -> None:
        """Hide what was found for so long; 0 shows it at once."""
        await self.dead.show_all_after(list(self.held.values()), seconds)

    def letters(self) -> list[DeadLetter]:
        """What was found."""
        return [DeadLetter.read(self.name, self.source, self.dead, message) for message in self.held.values()]


async def _keep_hidden(looks: Sequence[_Look]) -> None:
    """Hide what was found again and again: thousands of letters take longer than one short hiding."""
    while True:
        await asyncio.sleep(HIDDEN_SECONDS / 2)
        for look in looks:
            with suppress(QueueError):  # then treating a letter will fail, and say so
                await look.hide(HIDDEN_SECONDS)


async def _open(sqs: Any, settings: Settings, name: QueueName, *, required: bool) -> _Look | None:
    try:
        source = await JobQueue.open(sqs, getattr(settings, SOURCES[name].setting))
    except NoDeadLetterQueue:
        if required:
            raise
        return None
    return _Look(name, source, JobQueue(sqs, source.dead_letter_url, ""))
