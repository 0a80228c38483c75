"""Puts a daemon together: settings, clients, queue, handler, loop, and the exit code at its end."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog

from workers.errors import QueueError, WorkerError
from workers.health import Health, HealthLimits
from workers.host.systemd_notify import Systemd
from workers.jobs.registry import NEEDS, QUEUE_FIELD, KindName, make_kind
from workers.runtime.attempt_folder import Orphans
from workers.runtime.loop import pause_or_give_up, run_until_stopped
from workers.runtime.loop_monitor import monitor_loop
from workers.runtime.message_processor import MessageProcessor
from workers.runtime.recovery import OrphanRecovery
from workers.runtime.startup_probe import probe
from workers.setting_checks import find_unknown_names
from workers.settings import Settings
from workers.side_tasks import side_tasks
from workers.sqs.queue import JobQueue
from workers.stop import Stop
from workers.telemetry.status_socket import status_served
from workers.telemetry.tracing import open_tracing

if TYPE_CHECKING:
    from workers.aws_clients import Aws
    from workers.host.ec2 import Host


log = structlog.get_logger(__name__)


def worker_name() -> str:
    """The name of this worker in leases and logs."""
    return f"{platform.node() or 'host'}:{os.getpid()}"


async def run_daemon(name: KindName, settings: Settings, *, once: bool = False) -> int:
    """Run a worker until it is asked to stop (or, `once`, for one message).

    Returns:
        The process's exit code: 0 after a stop, else the one of the `WorkerError` that ended it.
    """
    worker = worker_name()
    stop = Stop()
    stop.install()
    health = Health(
        HealthLimits.of(settings), warnings=tuple(find_unknown_names(os.environ, Settings.variables()))
    )
    for warning in health.warnings:
        log.warning(warning)
    try:
        settings.require(*NEEDS[name])
        orphans = Orphans(settings.work_dir)
        await asyncio.to_thread(orphans.remove)
        # aiobotocore is as much to import as all the rest. Here the signals are heard already, and wrong
        # settings have been told without it.
        from workers.aws_clients import open_aws  # noqa: PLC0415
        from workers.credentials import credentials_awaited  # noqa: PLC0415
        from workers.host.ec2 import host_heard  # noqa: PLC0415

        async with (
            _watched(name, settings, stop, health),
            credentials_awaited(settings, stop),
            open_aws(settings) as aws,
            host_heard(settings, stop, health) as host,
            open_tracing(settings, name, worker) as tracing,
        ):
            queue = await _open_queue(aws, settings, name, stop)
            if queue is not None:
                kind = make_kind(name, settings, aws, worker)
                handler = MessageProcessor(
                    kind, queue, aws.table, settings, stop, worker, health, tracing=tracing
                )
                idle = _when_idle(handler, aws, host, orphans)
                log.info("worker ready", worker=worker, worker_kind=name, queue=queue.url)
                await run_until_stopped(
                    queue, handler.handle, stop, settings, health=health, idle=idle, once=once
                )
            if host is not None and not once:
                await host.wait_for_end()
        if stop.failure is not None:
            raise stop.failure
    except WorkerError as error:
        return report_end(error)
    log.info("worker stopped", worker=worker)
    return 0


def report_end(error: WorkerError) -> int:
    """Log in one line what ends a worker; returns the exit code."""
    log.error("worker ends", error_class=type(error).__name__, error=str(error))
    return error.exit_code


def _when_idle(
    handler: MessageProcessor[Any], aws: Aws, host: Host | None, orphans: Orphans
) -> Callable[[], Awaitable[None]]:
    """The work to do after a receive without a message."""
    sweep = OrphanRecovery(handler.kind, handler.queue, aws.table, handler.settings)

    async def sweep_then_leave() -> None:
        await sweep.run_if_due()
        await asyncio.to_thread(orphans.remove)
        if host is not None:
            await host.leave_if_idle(aws.sqs, handler.queue.url)

    return sweep_then_leave


@asynccontextmanager
async def _watched(name: KindName, settings: Settings, stop: Stop, health: Health) -> AsyncIterator[None]:
    """Monitor this worker's health while the block runs, and report it to systemd and to people on this host.

    All runs on the event loop that does the work, so that a stuck loop cannot report good health.
    """
    systemd = Systemd.from_environ()
    if systemd is not None:
        systemd.check(settings)
    async with (
        status_served(health, name, settings.run_dir) as served,
        side_tasks(stop, health.report_fault) as tasks,
    ):
        tasks.start("loop monitor", lambda: monitor_loop(health))
        tasks.start("stop note", lambda: _note_stop(stop, health))
        # Without it this host cannot read the worker's status; that is no reason to interrupt a training.
        tasks.start("status socket", served.keep, vital=False)
        if systemd is not None:
            systemd.start_telling(tasks, health, stop, settings)
        yield


async def _note_stop(stop: Stop, health: Health) -> None:
    await stop.requested.wait()
    health.stopping()


async def _open_queue(aws: Aws, settings: Settings, name: KindName, stop: Stop) -> JobQueue | None:
    """Open the queue once everything beside it has been found, too; None after a stop.

    Found out now, not after hours of work. What is not up yet, or does not answer, is asked a few times.
    """
    others = [
        getattr(settings, one)
        for one in NEEDS[name]
        if one.endswith("queue_url") and one != QUEUE_FIELD[name]
    ]
    failures = 0
    while not stop.requested.is_set():
        try:
            queue = await JobQueue.open(aws.sqs, getattr(settings, QUEUE_FIELD[name]))
            await probe(aws, settings, name, queue, others)
        except QueueError as error:
            failures += 1
            await pause_or_give_up(failures, error, stop, what="probe")
        else:
            return queue
    return None
