"""Two hundred short jobs, four daemons, and a minute in which any of their processes may die or freeze."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from tests.chaos.crew import Crew, Job
from tests.chaos.scenarios import Outcome
from tests.chaos.workers import Worker

pytestmark = pytest.mark.chaos

JOBS = 200
DAEMONS = 4
HARM_SECONDS = 60
LEASE_SECONDS = 2
FREEZE_SECONDS = 3
RECENT_SECONDS = 0.2
SEED_VARIABLE = "CHAOS_SEED"

SCRIPTS: tuple[tuple[str, Outcome], ...] = (
    ("live:{seconds}", "succeeded"),
    ("live:{seconds}+retry:network|live:{seconds}", "succeeded"),
    ("live:{seconds}+fail:data", "failed"),
)
WEIGHTS = (8, 1, 1)


@dataclass(slots=True)
class Harm:
    """Hurts one process of a fleet after the other; who dies is replaced, as a supervisor does."""

    crew: Crew
    dice: random.Random
    fleet: list[Worker] = field(default_factory=list)
    done: int = 0
    _thawing: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self) -> Worker:
        """Start a daemon whose leases are short, since many will be lost."""
        return self.crew.start(LAYOUTLM_LEASE_SECONDS=str(LEASE_SECONDS))

    async def last(self, seconds: float) -> None:
        """Go on for so long."""
        self.fleet += [self.start() for _ in range(DAEMONS)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(self.dice.uniform(0.3, 1.2))
            await self.dice.choice((self.kill_daemon, self.kill_child, self.kill_both, self.freeze_daemon))()
            self.done += 1
        await asyncio.gather(*self._thawing)

    async def kill_daemon(self) -> None:
        """Let its supervisor start a new one."""
        victim = self.dice.randrange(DAEMONS)
        await self.fleet[victim].send(signal.SIGKILL)
        self.fleet[victim] = self.start()

    async def kill_child(self) -> None:
        """Whichever has just spoken."""
        now = time.time()
        alive = {
            word.pid for word in self.crew.listener.words[-DAEMONS * 20 :] if word.at > now - RECENT_SECONDS
        }
        if alive:
            with suppress(ProcessLookupError):
                os.kill(self.dice.choice(sorted(alive)), signal.SIGKILL)

    async def kill_both(self) -> None:
        """Whether they belong together is left to chance."""
        await self.kill_child()
        await self.kill_daemon()

    async def freeze_daemon(self) -> None:
        """Past its lease; its child is to end by itself."""
        worker = self.dice.choice(self.fleet)
        await worker.send(signal.SIGSTOP)
        thawing = asyncio.create_task(self._thaw(worker))
        self._thawing.add(thawing)
        thawing.add_done_callback(self._thawing.discard)

    async def _thaw(self, worker: Worker) -> None:
        await asyncio.sleep(FREEZE_SECONDS)
        await worker.send(signal.SIGCONT)


async def test_two_hundred_jobs_end_once_each_however_often_their_workers_die(
    crew: Crew, record_property: Callable[[str, int], None]
) -> None:
    seed = int(os.environ.get(SEED_VARIABLE) or random.randrange(10**6))  # noqa: S311 - chaos, no secret
    dice = random.Random(seed)  # noqa: S311
    jobs = [await send_any(crew, dice) for _ in range(JOBS)]
    harm = Harm(crew, dice)
    await harm.last(HARM_SECONDS)
    record_property(f"jobs of daemons hurt {harm.done} times, {SEED_VARIABLE}={seed}", JOBS)
    await crew.check(*jobs, within_seconds=120)
    for job in jobs:
        assert_one_at_a_time(crew, job)


def assert_one_at_a_time(crew: Crew, job: Job) -> None:
    """No attempt of a job said a word after the next one had begun."""
    spoken: dict[int, list[float]] = {}
    for word in crew.listener.words:
        if word.owner_id == job.owner_id:
            spoken.setdefault(word.attempt, []).append(word.at)
    for earlier, later in pairwise(sorted(spoken)):
        assert max(spoken[earlier]) < min(spoken[later]), f"attempts {earlier} and {later} of {job.owner_id}"


async def send_any(crew: Crew, dice: random.Random) -> Job:
    [(script, outcome)] = dice.choices(SCRIPTS, WEIGHTS)
    return await crew.send(script.format(seconds=round(dice.uniform(0.2, 1.0), 2)), outcome)
