"""Keeps scale-in protection and the lifecycle hook in step with the work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from receipt_dynamo.clock import steady_seconds
from workers.errors import GroupError, MetadataError, QueueError, WorkerError
from workers.health import Health
from workers.host.auto_scaling import AutoScalingGroup, Hook
from workers.host.imds import Metadata
from workers.host.spot_listener import Listener
from workers.settings import Settings
from workers.sqs.queue_depths import read_depth
from workers.stop import Stop
from workers.telemetry.status_socket import read_statuses

LOOK_SECONDS = 1.0
"""Seconds between comparisons of the state reported to Auto Scaling with the worker's state."""
RETRY_SECONDS = 10.0
MAX_RETRY_SECONDS = 300.0
"""Longest pause, in seconds, between searches for the group of an instance that is in none."""
IDLE_LOOK_SECONDS = 60.0
"""Seconds after which an idle worker whose host had to stay asks again."""
BEATS_PER_HEARTBEAT = 3

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class GroupMembership:
    """The membership of this instance in its Auto Scaling group, as far as the worker controls it.

    It follows the state that health shows and is not called from the job's path, so that no job waits for an
    answer of Auto Scaling.

    Attributes:
        client: of Auto Scaling.
        metadata: identifies this instance.
        settings: idle time, and names that are not to be looked up.
        stop: takes no more messages once the instance is to end.
        health: shows whether there is a job, and for how long there was none.
        listener: knows whether the group is terminating this instance.
        steady: seconds that only go forward.
        work_ended: whether the daemon's loop has ended, so that nothing is left to wait for.
    """

    client: Any
    metadata: Metadata
    settings: Settings
    stop: Stop
    health: Health
    listener: Listener
    steady: Callable[[], float] = steady_seconds
    work_ended: bool = field(default=False, init=False)
    _group: AutoScalingGroup | None = field(default=None, init=False)
    _looks_in_vain: int = field(default=0, init=False)
    _protected: bool | None = field(default=None, init=False)
    _hook: Hook | None = field(default=None, init=False)
    _beat_due: float = field(default=0.0, init=False)
    _let_go: bool = field(default=False, init=False)
    _look_due: float = field(default=0.0, init=False)

    async def sync_with_group(self) -> None:
        """Keep the group's view up to date for as long as the daemon runs.

        An instance in no group may be put into one later, and a new one's group is not known at once.
        """
        if not self.metadata.expected:
            await self.listener.answered.wait()  # this may be no instance of EC2 at all
        failing = False
        while True:
            try:
                known = await self.tell()
            except (GroupError, MetadataError, WorkerError) as error:
                if not failing:
                    log.warning("Auto Scaling not told; tried again and again", error=str(error))
                failing = True
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if failing:
                    log.info("Auto Scaling told again")
                failing = False
                await asyncio.sleep(LOOK_SECONDS if known else self._pause_alone)

    async def tell(self) -> bool:
        """Tell what has changed; False where this instance is in no group.

        Raises:
            GroupError, MetadataError, WorkerError: it could not be told now.
        """
        self._group = self._group or await AutoScalingGroup.find(self.client, self.metadata, self.settings)
        if self._group is None:
            if not self._looks_in_vain:
                log.info("this instance is in no Auto Scaling group")
            self._looks_in_vain += 1
            return False
        if not self.listener.terminating:
            await self._tell_protection(self._group)
        elif not self._let_go:
            await self._tell_hook(self._group)
        return True

    @property
    def _pause_alone(self) -> float:
        return min(MAX_RETRY_SECONDS, RETRY_SECONDS * 2.0 ** min(self._looks_in_vain - 1, 10))

    @property
    def is_known(self) -> bool:
        """Whether the Auto Scaling group of this instance was found."""
        return self._group is not None

    async def leave_if_idle(self, sqs: Any, queue_url: str) -> None:
        """End the instance when it has had nothing to do for long enough and its group can spare it.

        Called between two receives, so no job can come meanwhile.
        """
        if not self._was_idle_long() or self._group is None or self.steady() < self._look_due:
            return
        self._look_due = self.steady() + IDLE_LOOK_SECONDS
        try:
            if (reason := await self._reason_to_stay(self._group, sqs, queue_url)) is not None:
                log.info("idle, but stays", reason=reason)
                return
            await self._group.end_instance()
        except (GroupError, QueueError, WorkerError) as error:
            log.warning("idle, but cannot leave", error=str(error))
            return
        notice = f"Idle for {self.settings.idle_minutes:g} minutes: this instance ends"
        log.warning("notice to the host", notice=notice)
        self.health.noticed(notice)
        self.stop.retire()

    async def _tell_protection(self, group: AutoScalingGroup) -> None:
        wanted = self.health.report().job is not None
        if wanted == self._protected or (not wanted and await self._others_work()):
            return
        # Not known until it is answered, nor at the start: a worker that was killed may have left it on.
        self._protected = None
        await group.protect(on=wanted)
        self._protected = wanted
        log.info("scale-in protection", on=wanted)

    async def _tell_hook(self, group: AutoScalingGroup) -> None:
        """Hold the instance while there is work, then let it go."""
        self._hook = self._hook or await group.find_hook()
        if self._hook is None:
            self._let_go = True  # nothing holds the instance
        elif self.work_ended and not await self._others_work():
            await group.let_go(self._hook)
            self._let_go = True
            log.info("lifecycle action completed", hook=self._hook.name)
        elif self.steady() >= self._beat_due:
            await group.hold(self._hook)
            self._beat_due = self.steady() + self._hook.heartbeat_seconds / BEATS_PER_HEARTBEAT
            log.info("lifecycle action held", hook=self._hook.name)

    def _was_idle_long(self) -> bool:
        minutes, report = self.settings.idle_minutes, self.health.report()
        return minutes is not None and report.state == "idle" and report.since_seconds >= minutes * 60

    async def _reason_to_stay(self, group: AutoScalingGroup, sqs: Any, queue_url: str) -> str | None:
        if (await read_depth(sqs, queue_url)).visible:
            return "the queue has messages"
        if await self._others_work():
            return "another worker on this host has a job, or does not answer"
        if not await group.may_shrink():
            return "the group is at its minimum"
        return None

    async def _others_work(self) -> bool:
        """Whether another worker on this host has a job; one that does not answer may have."""
        # In a thread: our own socket is asked as well, and this loop answers there.
        workers = await asyncio.to_thread(read_statuses, *self.settings.status_folders)
        others = [one for one in workers if one.pid != os.getpid()]
        return any(one.report is None or one.report.job is not None for one in others)
