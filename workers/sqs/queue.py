"""One SQS queue, and botocore's errors translated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from receipt_dynamo.clock import steady_seconds
from workers.aws_errors import StaleHandle, TooLong, empty_batch_refused, sqs_errors_translated
from workers.errors import NoDeadLetterQueue, QueueUnusable
from workers.sqs.message_attributes import Attributes, dead_letter_attributes, of_texts, texts_of

MAX_VISIBILITY_SECONDS = 43_200
"""SQS's own limit, counted from the receive: renewals do not lengthen it."""
MAX_DELAY_SECONDS = 900
MAX_BATCH = 10


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery of one message.

    Attributes:
        typed_attributes: what the sender put beside the body, as SQS has it.
        received_at: the steady second at which it was asked for.
        sent_at: when the sender sent it, by SQS's clock; known of what a queue delivered.
    """

    message_id: str
    body: str
    receipt_handle: str
    receive_count: int = 1
    typed_attributes: Attributes = field(default_factory=dict)
    received_at: float = field(default_factory=steady_seconds)
    sent_at: datetime | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes that are text."""
        return texts_of(self.typed_attributes)


class JobQueue:
    """The queue that a worker takes jobs from, with its dead-letter queue."""

    def __init__(
        self, client: Any, url: str, dead_letter_url: str, steady: Callable[[], float] = steady_seconds
    ) -> None:
        self._client = client
        self.url = url
        self.dead_letter_url = dead_letter_url
        self._steady = steady

    @classmethod
    async def open(cls, client: Any, url: str) -> JobQueue:
        """Look up the queue and its dead-letter queue.

        Raises:
            NoDeadLetterQueue: the queue is there, but it has none.
            QueueUnusable: no such queue, or one that is first in, first out.
            QueueError: SQS cannot be asked now.
        """
        _refuse_fifo(url)
        async with sqs_errors_translated(url):
            answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
            policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy", "{}"))
            if "deadLetterTargetArn" not in policy:
                raise NoDeadLetterQueue(
                    f"{url} has no dead-letter queue, so an unreadable message would have nowhere to go. "
                    "Set its RedrivePolicy."
                )
            name = policy["deadLetterTargetArn"].rsplit(":", 1)[1]
            dead = await client.get_queue_url(QueueName=name)
            return cls(client, url, dead["QueueUrl"])

    async def check(self) -> None:
        """Check the permissions to send, hide and delete messages here, and to dead-letter them.

        Raises:
            CredentialsRefused: one of them may not.
            QueueError: SQS cannot be asked now.
        """
        await check_sending(self._client, self.url)
        await check_sending(self._client, self.dead_letter_url)
        async with sqs_errors_translated(self.url), empty_batch_refused():
            await self._client.delete_message_batch(QueueUrl=self.url, Entries=[])
        async with sqs_errors_translated(self.url), empty_batch_refused():
            await self._client.change_message_visibility_batch(QueueUrl=self.url, Entries=[])

    async def receive(self, *, wait_seconds: int, visibility_seconds: float) -> Received | None:
        """Wait for one message; None when there is none."""
        batch = await self.receive_batch(
            wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, at_most=1
        )
        return batch[0] if batch else None

    async def receive_batch(
        self, *, wait_seconds: int, visibility_seconds: float, at_most: int = MAX_BATCH
    ) -> list[Received]:
        """Wait for messages; none when there are none."""
        asked_at = self._steady()
        async with sqs_errors_translated(self.url):
            answer = await self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=at_most,
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=_whole(visibility_seconds),
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                MessageAttributeNames=["All"],
            )
            return [_received(message, asked_at) for message in answer.get("Messages", ())]

    async def put(self, body: str, attributes: Mapping[str, str], *, delay_seconds: float = 0) -> None:
        """Send a message to this queue."""
        await send(self._client, self.url, body, attributes, delay_seconds=delay_seconds)

    async def put_exactly(self, body: str, attributes: Attributes) -> None:
        """Send a message to this queue with attributes of any type, just as they are."""
        await _send(self._client, self.url, body, attributes)

    async def show_after(self, message: Received, seconds: float) -> bool:
        """Show the message again after so many seconds (0: at once); False if its receipt handle is stale."""
        try:
            async with sqs_errors_translated(self.url):
                await self._client.change_message_visibility(
                    QueueUrl=self.url, ReceiptHandle=message.receipt_handle, VisibilityTimeout=_whole(seconds)
                )
        except StaleHandle:
            return False
        return True

    async def show_all_after(self, messages: Sequence[Received], seconds: float) -> None:
        """Show messages again after so many seconds; one whose receipt handle is stale is left alone."""
        for start in range(0, len(messages), MAX_BATCH):
            entries = [
                {
                    "Id": str(n),
                    "ReceiptHandle": message.receipt_handle,
                    "VisibilityTimeout": _whole(seconds),
                }
                for n, message in enumerate(messages[start : start + MAX_BATCH])
            ]
            async with sqs_errors_translated(self.url):
                await self._client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    async def delete(self, message: Received) -> None:
        """Delete the message; nothing happens when it is gone already."""
        try:
            async with sqs_errors_translated(self.url):
                await self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message.receipt_handle)
        except StaleHandle:
            return

    async def bury(self, message: Received, reasons: Mapping[str, str]) -> None:
        """Copy the message, body unchanged, to the dead-letter queue with reasons beside it; delete it.

        A body near SQS's own limit leaves little room: reasons are shortened or left to the log then, since
        body and attributes are what cannot be made again.
        """
        where = {
            "source_queue": self.url.rsplit("/", 1)[-1],
            "original_message_id": message.message_id,
            "receive_count": str(message.receive_count),
        }
        choices = dead_letter_attributes(message.typed_attributes, {**reasons, **where})
        await _send_what_fits(self._client, self.dead_letter_url, message.body, choices)
        await self.delete(message)


async def check_queue(client: Any, url: str) -> None:
    """Make sure that a queue is there.

    Raises:
        QueueUnusable: it is not, or it is first in, first out.
        QueueError: SQS cannot be asked now.
    """
    _refuse_fifo(url)
    async with sqs_errors_translated(url):
        await client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])


async def check_sending(client: Any, url: str) -> None:
    """Make sure that we may send to a queue, without sending anything.

    Raises:
        CredentialsRefused: we may not.
        QueueError: SQS cannot be asked now.
    """
    async with sqs_errors_translated(url), empty_batch_refused():
        await client.send_message_batch(QueueUrl=url, Entries=[])


def _refuse_fifo(url: str) -> None:
    if url.endswith(".fifo"):
        raise QueueUnusable(
            f"{url} is a FIFO queue, in which one job in hand would hold up all others. Create a standard "
            "queue."
        )


async def send(
    client: Any, url: str, body: str, attributes: Mapping[str, str], *, delay_seconds: float = 0
) -> str:
    """Send one message, to be seen after a delay of at most 15 minutes; returns its id.

    Raises:
        QueueError: SQS did not take it.
    """
    return await _send(client, url, body, of_texts(attributes), delay_seconds=delay_seconds)


async def _send(client: Any, url: str, body: str, attributes: Attributes, *, delay_seconds: float = 0) -> str:
    async with sqs_errors_translated(url):
        answer = await client.send_message(
            QueueUrl=url,
            MessageBody=body,
            MessageAttributes=attributes,
            DelaySeconds=round(delay_seconds),
        )
        return str(answer["MessageId"])


async def _send_what_fits(client: Any, url: str, body: str, choices: Sequence[Attributes]) -> None:
    *larger, smallest = choices
    for attributes in larger:
        with suppress(TooLong):
            await _send(client, url, body, attributes)
            return
    await _send(client, url, body, smallest)


def _received(message: Mapping[str, Any], asked_at: float) -> Received:
    system = message.get("Attributes", {})
    sent = system.get("SentTimestamp")
    return Received(
        message_id=message["MessageId"],
        body=message["Body"],
        receipt_handle=message["ReceiptHandle"],
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        typed_attributes=message.get("MessageAttributes", {}),
        received_at=asked_at,
        sent_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None,
    )


def _whole(seconds: float) -> int:
    return max(0, min(MAX_VISIBILITY_SECONDS, round(seconds + 0.49)))
