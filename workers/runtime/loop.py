"""Receives one message at a time until asked to stop."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import structlog

from receipt_dynamo.clock import steady_seconds
from workers.errors import CredentialsMissing, CredentialsRefused, EndpointLost, QueueError
from workers.health import Health
from workers.settings import Settings
from workers.sqs.queue import JobQueue, Received
from workers.stop import Stop

FAILED_RECEIVES = 10
"""So many in a row end the daemon, so that its supervisor sees that something is wrong."""
_MAX_PAUSE_SECONDS = 30.0

log = structlog.get_logger(__name__)


async def run_until_stopped(  # noqa: PLR0913 - what a loop needs
    queue: JobQueue,
    handle: Callable[[Received], Awaitable[None]],
    stop: Stop,
    settings: Settings,
    *,
    health: Health | None = None,
    idle: Callable[[], Awaitable[None]] | None = None,
    once: bool = False,
) -> None:
    """Take messages and handle each, one after the other.

    Args:
        queue: where jobs come from.
        handle: takes one message to its end; what it raises ends the daemon.
        stop: checked between messages; a receive in flight is waited for, since a cancelled one strands
            the message that it was about to return.
        settings: poll and lease lengths.
        health: told of each receive.
        idle: called when the queue had nothing.
        once: return after one message, or when the queue has none.

    Raises:
        EndpointLost: ten receives in a row failed.
        CredentialsMissing: so they did, and the last one for the credentials.
    """
    health = health or Health()
    failures = 0
    while not stop.takes_no_more:
        asked_at = steady_seconds()
        try:
            message = await queue.receive(
                wait_seconds=settings.poll_seconds, visibility_seconds=settings.lease_seconds
            )
        except QueueError as error:
            failures += 1
            health.receive_failed()
            await pause_or_give_up(failures, error, stop)
            continue
        failures = 0
        health.polled()
        if settings.metrics is not None:  # without metrics, a line per poll has no reader
            log.info("waited for a message", idle_seconds=round(steady_seconds() - asked_at, 3))
        if message is not None and stop.takes_no_more:
            await queue.show_after(message, 0)
            log.info("message handed back", message_id=message.message_id)
            return
        if message is not None:
            await handle(message)
        if once:
            return
        if message is None and idle is not None:
            await idle()


async def pause_or_give_up(failures: int, error: QueueError, stop: Stop, *, what: str = "receive") -> None:
    """Wait a little, longer each time, before the next try; give up after ten."""
    event = f"{what} failed"
    log.warning(event, failures=failures, error=str(error))
    if failures >= FAILED_RECEIVES and isinstance(error, CredentialsRefused):
        raise CredentialsMissing(f"{error} Renew them, then start the worker again.") from error
    if failures >= FAILED_RECEIVES:
        raise EndpointLost(f"{failures} {what}s in a row failed; the last: {error}") from error
    bound = min(_MAX_PAUSE_SECONDS, 0.25 * 2**failures)
    await stop.sleep(random.uniform(0, bound))  # noqa: S311 - jitter, not a secret
