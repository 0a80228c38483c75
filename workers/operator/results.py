"""Reads a results queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from workers.aws_clients import open_aws
from workers.settings import Settings
from workers.sqs.queue import JobQueue, Received

_HIDDEN_SECONDS = 10


async def read_results(
    settings: Settings, kind: Literal["train", "export"], *, keep: bool, wait_seconds: int
) -> AsyncIterator[str]:
    """Yield the bodies that wait in a results queue; each is deleted once the consumer asks for the next.

    Raises:
        QueueUnusable: there is no such queue.
        QueueError: SQS cannot be asked now.
    """
    field = f"{kind}_results_queue_url"
    settings.require(field)
    async with open_aws(settings) as aws:
        # Nothing is dead-lettered here, so the queue needs no dead-letter queue.
        queue = JobQueue(aws.sqs, getattr(settings, field), "")
        kept: list[Received] = []
        while message := await queue.receive(wait_seconds=wait_seconds, visibility_seconds=_HIDDEN_SECONDS):
            if message.message_id in {seen.message_id for seen in kept}:
                break
            yield message.body
            if keep:
                kept.append(message)
            else:
                await queue.delete(message)
        for message in kept:
            await queue.show_after(message, 0)
