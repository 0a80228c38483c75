"""Replaces the surroundings of the code under test by the schedule's: time, random numbers, ids, logs."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest import mock

import structlog

from messages.fields import S3Uri
from tests.simulation.loop import PROCESS
from tests.simulation.table import EPOCH
from workers.s3_bucket import Bucket

if TYPE_CHECKING:
    from tests.simulation.world import World


@contextmanager
def virtual_surroundings(world: World, *, verbose: bool = False) -> Iterator[None]:
    """Let the code see the world's time, let dice and ids fall the same each time, and hear what it logs."""
    with ExitStack() as stack:
        stack.enter_context(_dice(world.plan.seed))
        stack.enter_context(_logs(world, verbose=verbose))
        stack.enter_context(mock.patch("receipt_dynamo.clock.datetime", _time_of_day(world)))
        ids = random.Random(f"ids {world.plan.seed}")
        drawn = SimpleNamespace(uuid4=lambda: uuid.UUID(int=ids.getrandbits(128), version=4))
        stack.enter_context(mock.patch("workers.runtime.message_processor.uuid", drawn))
        stack.enter_context(mock.patch("workers.runtime.request_bodies.open_bucket", _bucket_of(world)))
        yield


def _bucket_of(world: World) -> Callable[..., AbstractAsyncContextManager[Bucket]]:
    """Stands for `open_bucket`: whoever opens it has a client of their own."""

    @asynccontextmanager
    async def open_bucket(_settings: object, place: S3Uri) -> AsyncIterator[Bucket]:
        yield Bucket(place.bucket, world.bucket())

    return open_bucket


@contextmanager
def _dice(seed: int) -> Iterator[None]:
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def _logs(world: World, *, verbose: bool) -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(
        processors=[world.story.hear],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.ERROR),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _time_of_day(world: World) -> SimpleNamespace:
    """Stands for the class `datetime` where the time is asked for: each host's wall clock is its own."""

    def now(zone: tzinfo | None = None) -> datetime:
        whose = world.fleet.life_of(PROCESS.get())
        wrong_by = whose[0].host.wrong_by if whose else 0.0
        return datetime.fromtimestamp(EPOCH + world.loop.time() + wrong_by, zone or UTC)

    return SimpleNamespace(
        now=now, fromisoformat=datetime.fromisoformat, fromtimestamp=datetime.fromtimestamp
    )
