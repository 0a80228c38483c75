"""SQS as a worker sees it: one message at a time, and what can be done with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from receipt_dynamo.clock import steady_seconds
from workers.errors import CredentialsMissing, QueueError, QueueUnusable

MAX_VISIBILITY_SECONDS = 43_200
MAX_DELAY_SECONDS = 900
ATTRIBUTE_CHARS = 1_000
MAX_ATTRIBUTES = 10
_MISSING = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
_GONE = {"ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"}


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery of one message; `received_at` is the steady second at which it was asked for."""

    message_id: str
    body: str
    receipt_handle: str
    receive_count: int = 1
    attributes: Mapping[str, str] = field(default_factory=dict)
    received_at: float = field(default_factory=steady_seconds)


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
        """Look the queue and its dead-letter queue up.

        Raises:
            QueueUnusable: no such queue, or it has no dead-letter queue.
            QueueError: SQS cannot be asked now.
        """
        async with _translated(url):
            answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
            policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy", "{}"))
            if "deadLetterTargetArn" not in policy:
                raise QueueUnusable(
                    f"{url} has no dead-letter queue, so an unreadable message would have nowhere to go. "
                    "Set its RedrivePolicy."
                )
            name = policy["deadLetterTargetArn"].rsplit(":", 1)[1]
            dead = await client.get_queue_url(QueueName=name)
        return cls(client, url, dead["QueueUrl"])

    async def receive(self, *, wait_seconds: int, visibility_seconds: float) -> Received | None:
        """Wait for one message; None when there is none."""
        asked_at = self._steady()
        async with _translated(self.url):
            answer = await self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=_whole(visibility_seconds),
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
        for message in answer.get("Messages", ()):
            return _received(message, asked_at)
        return None

    async def put(self, body: str, attributes: Mapping[str, str], *, delay_seconds: float = 0) -> None:
        """Send a message to this queue."""
        await send(self._client, self.url, body, attributes, delay_seconds=delay_seconds)

    async def show_after(self, message: Received, seconds: float) -> bool:
        """Make the message visible again after so long (0 is at once); False when it is not ours any more."""
        try:
            async with _translated(self.url):
                await self._client.change_message_visibility(
                    QueueUrl=self.url, ReceiptHandle=message.receipt_handle, VisibilityTimeout=_whole(seconds)
                )
        except _StaleHandleError:
            return False
        return True

    async def delete(self, message: Received) -> None:
        """Delete the message; nothing happens when it is gone already."""
        try:
            async with _translated(self.url):
                await self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message.receipt_handle)
        except _StaleHandleError:
            return

    async def bury(self, message: Received, reasons: Mapping[str, str]) -> None:
        """Copy the message, body unchanged, to the dead-letter queue with reasons as attributes; delete it.

        A body at SQS's own limit leaves no room for attributes; then the body goes alone, since it is what
        cannot be made again, and the reason stands in the log.
        """
        # Reasons first: SQS takes ten attributes, and these are the ones that somebody will look for.
        attributes = {**reasons, **{k: v for k, v in message.attributes.items() if k not in reasons}}
        try:
            await send(self._client, self.dead_letter_url, message.body, attributes)
        except _TooLongError:
            await send(self._client, self.dead_letter_url, message.body, {})
        await self.delete(message)


async def check_queue(client: Any, url: str) -> None:
    """Make sure that a queue is there.

    Raises:
        QueueUnusable: it is not.
        QueueError: SQS cannot be asked now.
    """
    async with _translated(url):
        await client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])


async def send(
    client: Any, url: str, body: str, attributes: Mapping[str, str], *, delay_seconds: float = 0
) -> str:
    """Send one message, to be seen after a delay of at most 15 minutes; returns its id.

    Raises:
        QueueError: SQS did not take it.
    """
    typed = {
        name: {"DataType": "String", "StringValue": value[:ATTRIBUTE_CHARS]}
        for name, value in list(attributes.items())[:MAX_ATTRIBUTES]
        if value
    }
    async with _translated(url):
        answer = await client.send_message(
            QueueUrl=url,
            MessageBody=body,
            MessageAttributes=typed,
            DelaySeconds=min(MAX_DELAY_SECONDS, round(delay_seconds)),
        )
    return str(answer["MessageId"])


class _StaleHandleError(QueueError):
    """The receipt handle has expired or the message is gone."""


class _TooLongError(QueueError):
    """Body and attributes together exceed what SQS takes."""


@asynccontextmanager
async def _translated(url: str) -> AsyncIterator[None]:
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise QueueUnusable(f"There is no queue {url}. Create it, or mend the queue's URL.") from error
        if "must be shorter than" in str(error) or "MessageTooLong" in code:
            raise _TooLongError(f"{url} takes no message of this size.") from error
        if any(code.endswith(known) for known in _GONE):
            raise _StaleHandleError(f"{url}: {error}") from error
        raise QueueError(f"{url}: {error}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CredentialsMissing(
            f"No AWS credentials for {url}. Set AWS_PROFILE or the AWS_ACCESS_KEY_ID pair, or attach a role."
        ) from error
    except (BotoCoreError, OSError) as error:
        raise QueueError(f"{url} could not be asked: {error}") from error


def _received(message: Mapping[str, Any], asked_at: float) -> Received:
    return Received(
        message_id=message["MessageId"],
        body=message["Body"],
        receipt_handle=message["ReceiptHandle"],
        receive_count=int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
        attributes={
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value
        },
        received_at=asked_at,
    )


def _whole(seconds: float) -> int:
    return max(0, min(MAX_VISIBILITY_SECONDS, round(seconds + 0.49)))
