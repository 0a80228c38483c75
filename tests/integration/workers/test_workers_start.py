"""The start of a daemon while AWS is not reachable yet, in the test's own process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from receipt_dynamo import errors as dynamo
from receipt_dynamo.async_client import AsyncDynamoClient
from workers import daemon
from workers.errors import QueueError
from workers.local_aws.local_stack import LocalStack
from workers.runtime import loop
from workers.runtime import startup_probe as probe
from workers.sqs.queue import JobQueue


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_MAX_PAUSE_SECONDS", 0.01)


async def run(stack: LocalStack) -> int:
    settings = stack.settings.model_copy(update={"poll_seconds": 0})
    return await daemon.run_daemon("train", settings, once=True)


def raising(error: Exception) -> Callable[..., Any]:
    async def fail(*_: object, **__: object) -> None:
        raise error

    return fail


async def test_an_endpoint_that_comes_up_late_is_waited_for(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, failures = JobQueue.open, [QueueError("down"), QueueError("down")]

    async def late(client: object, url: str) -> JobQueue:
        if failures:
            raise failures.pop()
        return await opened(client, url)

    monkeypatch.setattr(JobQueue, "open", late)
    assert await run(stack) == 0
    assert not failures


async def test_an_endpoint_that_stays_away_ends_the_daemon_with_its_own_code(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobQueue, "open", raising(QueueError("down")))
    assert await run(stack) == 69


async def test_a_stop_while_the_endpoint_is_away_is_heeded(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> JobQueue:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)
        raise QueueError("down")

    monkeypatch.setattr(JobQueue, "open", down)
    assert await run(stack) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (dynamo.NetworkError("gone"), 69),
        (dynamo.Throttled("slow"), 69),
        (dynamo.CredentialsError("expired"), 77),
        (dynamo.TableMissing("no table"), 78),
    ],
)
async def test_a_table_that_cannot_be_read_ends_the_start_with_the_code_of_its_cause(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    monkeypatch.setattr(AsyncDynamoClient, "get_lease", raising(error))
    assert await run(stack) == code


async def test_a_results_queue_that_cannot_be_asked_ends_the_start(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "check_queue", raising(QueueError("down")))
    assert await run(stack) == 69
