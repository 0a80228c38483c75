"""A process that has everything imported and becomes a worker by forking: dozens of starts a second.

It reads one order a line (see `tests.chaos.workers.Order`) and tells of each worker's start and end. A worker
is `workers.daemon.run_daemon` as it stands; only its child is a scripted one, and its AWS calls are heard.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session

from tests.chaos.calls import Calls, Point
from workers import aws_clients as aws
from workers.daemon import run_daemon
from workers.jobs.export import ExportHandler
from workers.jobs.training import TrainingHandler
from workers.local_aws.local_stack import REGION
from workers.settings import Settings
from workers.telemetry.logs import configure_logging

SESSION = get_session()


def tell(**news: object) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


async def warm_up() -> None:
    """Make each client once: reading the models of the services takes longer than all that a worker does."""
    for service in ("dynamodb", "sqs", "s3"):
        async with SESSION.create_client(service, region_name=REGION, endpoint_url="http://127.0.0.1:1"):
            pass


def become_worker(order: dict[str, Any]) -> int:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    TrainingHandler.module = ExportHandler.module = order["child"]
    os.environ.update(order["environ"], CHAOS_WORKER_PID=str(os.getpid()))
    if order["journal"] is not None:
        cut_at = Point(**order["cut_at"]) if order["cut_at"] else None
        Calls(Path(order["journal"]), cut_at).listen(SESSION)
    return asyncio.run(run_daemon(order["kind"], Settings.from_environ()))


class Template:
    """Forks workers and reaps them."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}

    def serve(self) -> None:
        """Take orders until there are no more."""
        signal.signal(signal.SIGCHLD, self._reap)
        for line in sys.stdin:
            order = json.loads(line)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            pid = os.fork()
            if pid == 0:
                self._be(order)
            self._ids[pid] = order["id"]
            tell(id=order["id"], pid=pid)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def _be(self, order: dict[str, Any]) -> None:
        code = 70
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            code = become_worker(order)
        finally:
            os._exit(code)

    def _reap(self, *_: object) -> None:
        while self._ids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            tell(id=self._ids.pop(pid), code=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    configure_logging()
    vars(aws)["get_session"] = lambda: SESSION  # with models read, and calls heard
    asyncio.run(warm_up())
    gc.freeze()
    Template().serve()
