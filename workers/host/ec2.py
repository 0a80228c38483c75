"""Assembles the host's side of a daemon: notices, Auto Scaling, release of the instance at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from workers.errors import GroupError, MetadataError, WorkerError
from workers.health import Health
from workers.host.asg_lifecycle import GroupMembership
from workers.host.auto_scaling import auto_scaling_opened
from workers.host.imds import metadata_opened
from workers.host.spot_listener import Listener, find_doubt
from workers.settings import Settings
from workers.side_tasks import side_tasks
from workers.stop import Stop

LAST_WORD_SECONDS = 5
"""Seconds for which an ending daemon tries to reach Auto Scaling."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Host:
    """The EC2 instance that a daemon runs on.

    Attributes:
        membership: its place in Auto Scaling.
        stop: what it asked of the daemon.
        health: shows it.
    """

    membership: GroupMembership
    stop: Stop
    health: Health

    async def leave_if_idle(self, sqs: Any, queue_url: str) -> None:
        """End the instance when it has been idle for long enough."""
        await self.membership.leave_if_idle(sqs, queue_url)

    async def wait_for_end(self) -> None:
        """Wait until the host ends this process; return at once after a signal or a failure of the daemon.

        A service manager would start a worker that ended by itself again, and it would take the next job
        onto a host with seconds to live.
        """
        self.membership.work_ended = True
        if not self.stop.leave.is_set():
            log.info("no more messages are taken; waiting for the host to end")
            self.health.ready.set()  # a worker that began on such a host will never poll
            await self.stop.leave.wait()


@asynccontextmanager
async def host_heard(settings: Settings, stop: Stop, health: Health) -> AsyncIterator[Host | None]:
    """Poll the host's notices and update Auto Scaling while the block runs; None outside EC2.

    Notices that the host has already given take effect before the block begins.
    """
    async with AsyncExitStack() as stack:
        metadata = await stack.enter_async_context(metadata_opened(settings))
        if metadata is None:
            yield None
            return
        if metadata.expected:
            health.host_answered()  # from now on it is expected to
            if (doubt := find_doubt(settings)) is not None:
                health.warned(doubt)
                log.warning(doubt)
        listener = Listener(metadata, settings, stop, health)
        client = await stack.enter_async_context(auto_scaling_opened(settings))
        membership = GroupMembership(client, metadata, settings, stop, health, listener)
        stack.push_async_callback(_release_instance, membership)
        tasks = await stack.enter_async_context(side_tasks(stop, health.report_fault))
        tasks.start("host listener", listener.keep_listening)
        tasks.start("Auto Scaling keeper", membership.sync_with_group)
        await listener.asked.wait()
        yield Host(membership, stop, health)


async def _release_instance(membership: GroupMembership) -> None:
    """Take the protection off, and let go of an instance that is to end."""
    if not membership.is_known:
        return
    membership.work_ended = True
    try:
        async with asyncio.timeout(LAST_WORD_SECONDS):
            await membership.tell()
    except (GroupError, MetadataError, WorkerError, TimeoutError) as error:
        log.warning("Auto Scaling not told", error=str(error) or "no answer in time")
    except Exception:
        # A defect here must not hide what ends the daemon.
        log.exception("Auto Scaling not told: a defect")
