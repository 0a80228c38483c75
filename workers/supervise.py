"""Watches a child until it ends, or until something else ends it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import structlog

from messages.child import ErrorClass, Exported, Failure, Progress, Report, Trained
from workers.child import Child, ChildSpec
from workers.lease import Lease
from workers.outcome import Ending
from workers.stop import Stop
from workers.verdict import Verdict, judge_exit

CANCEL_GRACE_SECONDS = 2

log = structlog.get_logger(__name__)


class Watcher:
    """Keeps the last word of a child and passes its signs of life to the log."""

    def __init__(self) -> None:
        self.last: Trained | Exported | Failure | None = None

    def __call__(self, report: Report) -> None:
        """Take one report."""
        if isinstance(report, Progress):
            fields = report.model_dump(exclude={"type", "metrics", "message"}, exclude_none=True)
            log.info(report.message or "progress", **fields, **report.metrics)
        else:
            self.last = report


async def supervise(spec: ChildSpec, lease: Lease, stop: Stop) -> Verdict:
    """Run the child to its end; returns the verdict on this attempt, with the child reaped.

    Args:
        spec: what to start and how long it may take.
        lease: a lost lease ends the child by force, a cancelled job too.
        stop: asks the child to reach a checkpoint; twice ends it by force.
    """
    watcher = Watcher()
    started = time.monotonic()
    child = await Child.start(spec, watcher)
    log.info("child started", pid=child.pid, module=spec.module)
    lease.beats = child.beat
    lease.beat_child()
    try:
        verdict = await _first_of(child, spec, lease, stop)
    finally:
        child.kill()
        code = await child.wait()
    verdict = verdict or judge_exit(code, watcher.last, child.last_lines)
    return replace(verdict, seconds=time.monotonic() - started)


async def _first_of(child: Child, spec: ChildSpec, lease: Lease, stop: Stop) -> Verdict | None:
    """Wait for what ends the attempt; None when the child's own ending says it."""
    ended = asyncio.create_task(child.wait())
    events = {name: asyncio.create_task(event.wait()) for name, event in _events(lease, stop).items()}
    try:
        await asyncio.wait(
            {ended, *events.values()}, timeout=spec.timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for task in events.values():
            task.cancel()
    if lease.lost.is_set():
        return Verdict(Ending.LOST)
    if ended.done():
        return None
    if lease.cancelled.is_set():
        await child.stop(CANCEL_GRACE_SECONDS)
        return Verdict(Ending.CANCELLED, message="Cancelled on request.")
    if stop.requested.is_set():
        return await _drain(child, spec, lease, stop)
    return Verdict.failed(
        ErrorClass.TIMEOUT, f"The attempt took longer than its timeout of {spec.timeout_seconds} seconds."
    )


def _events(lease: Lease, stop: Stop) -> dict[str, asyncio.Event]:
    return {"lost": lease.lost, "cancelled": lease.cancelled, "stop": stop.requested}


async def _drain(child: Child, spec: ChildSpec, lease: Lease, stop: Stop) -> Verdict | None:
    log.info("stopping: the child may reach a checkpoint", drain_seconds=spec.drain_seconds)
    code = await child.stop(spec.drain_seconds, skip=stop.now)
    if lease.lost.is_set():
        return Verdict(Ending.LOST)
    # A child that was ended by force goes on from its last whole checkpoint, like one that left by itself.
    return Verdict(Ending.STOPPED) if code < 0 else None
