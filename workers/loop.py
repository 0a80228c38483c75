"""Receive one message at a time until asked to stop."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import structlog

from workers.errors import EndpointLost, QueueError
from workers.queue import JobQueue, Received
from workers.settings import Settings
from workers.stop import Stop

FAILED_RECEIVES = 10
"""So many in a row end the daemon, so that its supervisor sees that something is wrong."""
_MAX_PAUSE_SECONDS = 30.0

log = structlog.get_logger(__name__)


async def run_until_stopped(
    queue: JobQueue,
    handle: Callable[[Received], Awaitable[None]],
    stop: Stop,
    settings: Settings,
    *,
    once: bool = False,
) -> None:
    """Take messages and handle each, one after the other.

    Args:
        queue: where jobs come from.
        handle: takes one message to its end; what it raises ends the daemon.
        stop: checked between messages; a receive in flight is waited for, since a cancelled one strands
            the message that it was about to return.
        settings: poll and lease lengths.
        once: return after one message, or when the queue has none.

    Raises:
        EndpointLost: ten receives in a row failed.
    """
    failures = 0
    while not stop.requested.is_set():
        try:
            message = await queue.receive(
                wait_seconds=settings.poll_seconds, visibility_seconds=settings.lease_seconds
            )
        except QueueError as error:
            failures += 1
            await pause_or_give_up(failures, error, stop)
            continue
        failures = 0
        if message is not None and stop.requested.is_set():
            await queue.show_after(message, 0)
            log.info("message handed back", message_id=message.message_id)
            return
        if message is not None:
            await handle(message)
        if once:
            return


async def pause_or_give_up(failures: int, error: QueueError, stop: Stop) -> None:
    """Wait a little, longer each time, before the next try; raise EndpointLost after ten."""
    log.warning("receive failed", failures=failures, error=str(error))
    if failures >= FAILED_RECEIVES:
        raise EndpointLost(f"{failures} receives in a row failed; the last: {error}") from error
    bound = min(_MAX_PAUSE_SECONDS, 0.25 * 2**failures)
    await stop.sleep(random.uniform(0, bound))  # noqa: S311 - jitter, not a secret
