"""Lists, shows, redrives and deletes dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from messages.codec import KIND_ATTRIBUTE, decode_export_job, decode_result, decode_train_job, encode
from messages.errors import Fault, InvalidMessage
from messages.fields import Message
from receipt_dynamo.clock import write_time
from workers.aws_clients import open_aws
from workers.errors import NoDeadLetterQueue, QueueError
from workers.settings import Settings
from workers.sqs.message_attributes import FAULTS, Attributes, original_of, pack, read_faults, texts_of
from workers.sqs.queue import JobQueue, Received

QueueName = Literal["train", "export", "train-results", "export-results"]

NO_REASON = "none beside it: SQS moved it by itself, or the body left no room; see the workers' log"
HIDDEN_SECONDS = 20
"""Seconds for which a reader hides dead letters; short, as a killed reader leaves them hidden for as long."""


class LetterMissing(QueueError):  # noqa: N818 - reads as what it is
    """There is no such dead letter, or it went while we looked at it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A queue that may have dead letters: the setting with its URL, and the parser of its bodies."""

    setting: str
    read: Callable[[str | bytes, str], Message]


SOURCES: dict[QueueName, Source] = {
    "train": Source("train_job_queue_url", lambda body, sent_as: decode_train_job(body, message_id=sent_as)),
    "export": Source(
        "export_job_queue_url", lambda body, sent_as: decode_export_job(body, message_id=sent_as)
    ),
    "train-results": Source("train_results_queue_url", lambda body, _: decode_result(body)),
    "export-results": Source("export_results_queue_url", lambda body, _: decode_result(body)),
}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in a dead-letter queue, and where it came from.

    Attributes:
        queue: the queue that it was sent to.
        message: the message as it lies there.
        reasons: why a worker buried it; empty where SQS moved it by itself.
        attributes: those that it was sent with.
    """

    queue: QueueName
    source: JobQueue
    dead: JobQueue
    message: Received
    reasons: dict[str, str]
    attributes: Attributes

    @classmethod
    def read(cls, queue: QueueName, source: JobQueue, dead: JobQueue, message: Received) -> DeadLetter:
        """Tell what we put beside the body from what its sender did."""
        lying = message.typed_attributes
        original = original_of(lying)
        if original is None:
            return cls(queue, source, dead, message, {}, lying)
        return cls(queue, source, dead, message, texts_of(lying), original)

    @property
    def id(self) -> str:
        """The id that commands take."""
        return self.message.message_id

    @property
    def sent_as(self) -> str:
        """The id of the message that the sender sent; SQS keeps it where it moves one by itself."""
        return self.reasons.get("original_message_id", self.id)

    @property
    def when(self) -> str:
        """The time at which it was dead-lettered; if unknown, the time at which it was sent."""
        sent_at = self.message.sent_at
        return self.reasons.get("failed_at") or (write_time(sent_at) if sent_at else "")

    @property
    def receive_count(self) -> int:
        """Receives by workers; if unknown, receives by anybody."""
        counted = self.reasons.get("receive_count", "")
        return int(counted) if counted.isdecimal() else self.message.receive_count

    @property
    def faults(self) -> list[Fault]:
        """The faults of the body, field by field."""
        return read_faults(self.reasons.get(FAULTS, ""))

    def as_json(self) -> dict[str, Any]:
        """All of it, as plain data."""
        names = ("error_class", "error_message", "worker", "source_queue")
        return {
            "id": self.id,
            "queue": self.queue,
            "when": self.when,
            **{name: self.reasons.get(name) for name in names},
            "faults": [{"field": fault.field, "problem": fault.problem} for fault in self.faults],
            "receive_count": self.receive_count,
            "original_message_id": self.sent_as,
            "attributes": pack(self.attributes),
            "body": self.message.body,
        }

    async def redrive(self, mended: bytes | None = None) -> None:
        """Send it to its queue again, just as it came or with a mended body; then delete it here.

        Sent first: what ends us between the two leaves a duplicate, which the job's lease makes harmless.

        Raises:
            InvalidMessage: the mended body has faults, too; nothing was sent.
            LetterMissing: somebody else has taken it.
            QueueError: SQS refused; it is still here.
        """
        body, attributes = self._as_it_came() if mended is None else self._mended(mended)
        await self._hold()
        await self.source.put_exactly(body, attributes)
        await self.dead.delete(self.message)

    async def discard(self) -> None:
        """Delete it for good.

        Raises:
            LetterMissing: somebody else has taken it.
        """
        await self._hold()
        await self.dead.delete(self.message)

    async def _hold(self) -> None:
        if not await self.dead.show_after(self.message, HIDDEN_SECONDS):
            raise LetterMissing(f"Somebody else has taken {self.id} meanwhile. Look again.")

    def _as_it_came(self) -> tuple[str, Attributes]:
        """Body and attributes; a job without an id gets the one that it had through its message's id.

        Without that it would come back as another job, since a message that is sent again has another id.
        """
        body = self.message.body
        read = SOURCES[self.queue].read
        try:
            job = read(body, self.sent_as)
            return (body if read(body, "") == job else encode(job)), self.attributes
        except InvalidMessage:
            return body, self.attributes

    def _mended(self, body: bytes) -> tuple[str, Attributes]:
        message = SOURCES[self.queue].read(body, self.sent_as)
        # A body repaired for this queue is meant to be of its kind; a wrong one may have been the only fault.
        return encode(message), {
            name: value for name, value in self.attributes.items() if name != KIND_ATTRIBUTE
        }


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
                hiding.result()  # what ended it early: the dead letters may have become visible to others


def choose(letters: Sequence[DeadLetter], ids: Sequence[str]) -> list[DeadLetter]:
    """The dead letters of these ids, in their order.

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
    """One dead-letter queue while it is read, with the messages that are hidden from others meanwhile."""

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
        """The dead letters that were found."""
        return [DeadLetter.read(self.name, self.source, self.dead, message) for message in self.held.values()]


async def _keep_hidden(looks: Sequence[_Look]) -> None:
    """Extend the hiding of found messages: reading thousands of dead letters takes longer than one hiding."""
    while True:
        await asyncio.sleep(HIDDEN_SECONDS / 2)
        for look in looks:
            with suppress(QueueError):  # then the redrive or deletion fails, with its own error
                await look.hide(HIDDEN_SECONDS)


async def _open(sqs: Any, settings: Settings, name: QueueName, *, required: bool) -> _Look | None:
    try:
        source = await JobQueue.open(sqs, getattr(settings, SOURCES[name].setting))
    except NoDeadLetterQueue:
        if required:
            raise
        return None
    return _Look(name, source, JobQueue(sqs, source.dead_letter_url, ""))
