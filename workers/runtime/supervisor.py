"""Waits for exit, stop, lost lease, timeout or stall, and judges which came first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from messages.child_protocol import ChildExit, ErrorClass, Exported, Failure, Progress, Report, Trained
from receipt_dynamo.entities.field_types import LeaseProgress
from workers.health import Health
from workers.host.oom_kills import count_memory_kills, memory_kills_since
from workers.runtime.child import Child, ChildSpec
from workers.runtime.lease import Lease
from workers.runtime.outcome import AttemptResult, Ending, result_of_exit
from workers.stop import Stop

CANCEL_GRACE_SECONDS = 2
MESSAGE_CHARS = 500
"""Longest progress line in the lease, in characters; short, because each reader of the lease pays for it."""
_CANCELLED = AttemptResult(Ending.CANCELLED, message="Cancelled on request.")

log = structlog.get_logger(__name__)


class Watcher:
    """Keeps the last report of a child and passes its progress to log, health and lease."""

    def __init__(self, health: Health, lease: Lease) -> None:
        self.last: Trained | Exported | Failure | None = None
        self.stage = "starting"
        self._lease = lease
        self._steady = lease.table.clock.steady
        self.spoke_at = self._steady()
        self._health = health

    def __call__(self, report: Report) -> None:
        """Take one report."""
        self.spoke_at = self._steady()
        self._health.record_report()
        if isinstance(report, Progress):
            self.stage = report.stage
            self._lease.progress = self._where(report)
            fields = report.model_dump(exclude={"type", "metrics", "message"}, exclude_none=True)
            log.info(report.message or "progress", **fields, **report.metrics)
        else:
            self.last = report

    def _where(self, report: Progress) -> LeaseProgress:
        return LeaseProgress(
            attempt=self._lease.attempt,
            at=self._lease.table.clock.text(),
            stage=report.stage,
            message=report.message[:MESSAGE_CHARS],
            epoch=report.epoch,
            step=report.step,
            total_steps=report.total_steps,
            metrics=report.metrics,
        )

    async def wait_for_stall(self, seconds: float) -> None:
        """Return once the child has said nothing for so long."""
        while (left := self.spoke_at + seconds - self._steady()) > 0:  # noqa: ASYNC110 - it moves while we wait
            await asyncio.sleep(left)


async def supervise(
    spec: ChildSpec,
    lease: Lease,
    stop: Stop,
    health: Health,
    start_child: Callable[[ChildSpec, Callable[[Report], None]], Awaitable[Child]] = Child.start,
) -> AttemptResult:
    """Run the child to its end and reap it; returns the attempt result.

    Args:
        spec: the child's command and time limits.
        lease: a lost lease ends the child by force, a cancelled job too.
        stop: asks the child to reach a checkpoint; twice ends it by force.
        health: receives the child's signs of life.
        start_child: starts the process.
    """
    steady = lease.table.clock.steady
    watcher = Watcher(health, lease)
    started, memory_kills = steady(), count_memory_kills()
    child = await start_child(spec, watcher)
    log.info("child started", pid=child.pid, module=spec.module)
    health.child_started(child.pid)
    lease.beats = child.beat
    lease.beat_child()
    try:
        verdict = await _first_of(child, spec, watcher, lease, stop)
    finally:
        child.kill()
        code = await child.wait()
        health.child_ended()
    kills = memory_kills_since(memory_kills)
    verdict = verdict or result_of_exit(code, watcher.last, child.last_lines, kills)
    if verdict.ending is Ending.STOPPED:
        verdict = replace(verdict, message=stop.why)
    return replace(verdict, seconds=steady() - started)


async def _first_of(
    child: Child, spec: ChildSpec, watcher: Watcher, lease: Lease, stop: Stop
) -> AttemptResult | None:
    """Wait for what ends the attempt; None when the child's own ending says it."""
    ended = asyncio.create_task(child.wait())
    stalled = asyncio.create_task(watcher.wait_for_stall(spec.stall_seconds))
    events = [asyncio.create_task(one.wait()) for one in (lease.lost, lease.cancelled, stop.requested)]
    try:
        await asyncio.wait(
            {ended, stalled, *events}, timeout=spec.timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for task in (stalled, *events):
            task.cancel()
    if lease.lost.is_set():
        return AttemptResult(Ending.LOST)
    if ended.done():
        return None
    if lease.cancelled.is_set():
        await child.stop(CANCEL_GRACE_SECONDS, lease.lost)
        return _CANCELLED
    if stop.requested.is_set():
        return await _drain(child, spec, lease, stop)
    if stalled.done() and not stalled.cancelled():
        return AttemptResult.failed(
            ErrorClass.STALLED,
            f"The process reported nothing for {spec.stall_seconds:g} seconds; it was {watcher.stage}.",
        )
    return AttemptResult.failed(
        ErrorClass.TIMEOUT, f"The attempt took longer than its timeout of {spec.timeout_seconds} seconds."
    )


async def _drain(child: Child, spec: ChildSpec, lease: Lease, stop: Stop) -> AttemptResult | None:
    drain_seconds = stop.drain_seconds(spec.drain_seconds)
    log.info("stopping: the child may reach a checkpoint", drain_seconds=round(drain_seconds, 1))
    code = await child.stop(drain_seconds, stop.now, lease.lost, lease.cancelled)
    if lease.lost.is_set():
        return AttemptResult(Ending.LOST)
    if lease.cancelled.is_set() and code != ChildExit.DONE:
        return _CANCELLED
    # A child that was ended by force goes on from its last whole checkpoint, like one that left by itself.
    return AttemptResult(Ending.STOPPED) if code < 0 else None
