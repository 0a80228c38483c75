"""One dead letter: what it says, and how it goes back to the queue that it was sent to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from messages.codec import KIND_ATTRIBUTE, decode_export_job, decode_result, decode_train_job, encode
from messages.errors import Fault, InvalidMessage
from messages.fields import Message
from receipt_dynamo.clock import write_time
from workers.attributes import FAULTS, Attributes, original_of, pack, read_faults, texts_of
from workers.errors import QueueError
from workers.queue import JobQueue, Received

QueueName = Literal["train", "export", "train-results", "export-results"]

NO_REASON = "none beside it: SQS moved it by itself, or the body left no room; see the workers' log"
HIDDEN_SECONDS = 20
"""While somebody looks. Short, because a look that is killed leaves the letters hidden for as long."""


class LetterMissing(QueueError):  # noqa: N818 - reads as what it is
    """There is no such dead letter, or it went while we looked at it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A queue that may have dead letters: the setting with its URL, and what reads a body of it."""

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
        """When it was buried or, where nobody says, sent."""
        sent_at = self.message.sent_at
        return self.reasons.get("failed_at") or (write_time(sent_at) if sent_at else "")

    @property
    def receive_count(self) -> int:
        """How often workers received it; where nobody says, how often anybody did."""
        counted = self.reasons.get("receive_count", "")
        return int(counted) if counted.isdecimal() else self.message.receive_count

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with the body, field by field."""
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
        # Whoever mends a body for this queue means its kind; a wrong one may have been the only fault.
        return encode(message), {
            name: value for name, value in self.attributes.items() if name != KIND_ATTRIBUTE
        }
