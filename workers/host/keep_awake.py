"""Keeps a Mac awake while a job runs."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

# -i holds off the sleep of an idle host, on battery too, and leaves the display alone. -w ends it with us,
# however we end.
_COMMANDS: dict[str, tuple[str, ...]] = {"darwin": ("caffeinate", "-i", "-w")}

log = structlog.get_logger(__name__)


@asynccontextmanager
async def kept_awake(platform: str = sys.platform) -> AsyncIterator[None]:
    """Hold a power assertion while the block runs; on hosts that do not sleep by themselves nothing happens.

    A closed lid or an empty battery sends a Mac to sleep all the same; then the lease is lost, and the job is
    done again.
    """
    keeper = await _start_keeper(platform)
    try:
        yield
    finally:
        if keeper is not None:
            if keeper.returncode is not None:
                log.warning("the power assertion ended before the job", exit_code=keeper.returncode)
            with suppress(ProcessLookupError):
                keeper.kill()  # the assertion goes with the process, so there is nothing to leave in order
            await keeper.wait()


async def _start_keeper(platform: str) -> asyncio.subprocess.Process | None:
    command = _COMMANDS.get(platform)
    if command is None:
        return None
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            str(os.getpid()),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,  # Ctrl-C is for the worker, whose job may take a while yet
        )
    except OSError as error:
        log.warning("the host may fall asleep: no power assertion", error=str(error))
        return None
