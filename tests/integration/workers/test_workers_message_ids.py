"""Each line of a job's history names the message that its writer had taken, so that logs and records meet."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from messages.codec import encode
from receipt_dynamo.errors import NetworkError
from tests.support.work import Bench, training_bench
from workers.local_aws.local_stack import LocalStack
from workers.operator.run_local import NullQueue
from workers.runtime.message_processor import MessageProcessor
from workers.sqs.queue import Received

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"


def body(script: str) -> dict[str, Any]:
    return {"job_id": JOB_ID, "job_name": "demo", "tags": {"script": script}}


async def history(bench: Bench) -> list[tuple[str, str | None]]:
    """Statuses with the message that each one was written for, oldest first."""
    notes = (await bench.aws.table.list_job_statuses(JOB_ID)).items
    return [(note.status, note.message_id) for note in sorted(notes, key=lambda note: note.updated_at)]


@pytest.mark.parametrize(("script", "status"), [("succeed", "succeeded"), ("fail:data", "failed")])
async def test_the_message_is_named_from_the_begin_to_the_end(
    stack: LocalStack, tmp_path: Path, script: str, status: str
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        message_id = await bench.send(body(script))
        await bench.work_once()
        assert await history(bench) == [("running", message_id), (status, message_id)]


async def test_an_interruption_names_the_message_that_was_given_back(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        message_id = await bench.send(body("hang"))
        working = asyncio.create_task(bench.work_once())
        async with asyncio.timeout(20):
            while bench.handler.health.report().child_pid is None:  # noqa: ASYNC110 - health tells nobody
                await asyncio.sleep(0.02)
        bench.stop.request()
        await working
        assert await history(bench) == [("running", message_id), ("interrupted", message_id)]


async def test_a_job_that_another_message_brings_to_its_end_names_both(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        first = await bench.send(body("attempts:fail:throttled,succeed"))
        await bench.work_once()
        lost = await bench.queue.receive(wait_seconds=1, visibility_seconds=30)
        assert lost is not None
        await bench.queue.delete(lost)
        second = await bench.send(body("attempts:fail:throttled,succeed"))
        await bench.work_once()
        assert await history(bench) == [("running", first), ("running", second), ("succeeded", second)]


async def decide_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> str:
    """Decide a job and lose the network before its record shows it; returns the message's id."""
    message_id = await bench.send(body("succeed"))
    with monkeypatch.context() as patched:
        patched.setattr(type(bench.handler.kind), "complete", unreachable)
        await bench.work_once()
    return message_id


async def unreachable(*_: object) -> None:
    raise NetworkError("no route")


async def test_what_a_sweep_completes_names_no_message(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        message_id = await decide_only(bench, monkeypatch)
        async with asyncio.timeout(20):
            while not await bench.sweep.run():  # noqa: ASYNC110 - the clock tells nobody
                await asyncio.sleep(0.1)
        assert await history(bench) == [("running", message_id), ("succeeded", None)]


async def test_what_a_second_delivery_completes_names_its_message(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path, lease_seconds=1) as bench:
        first = await decide_only(bench, monkeypatch)
        second = await bench.send(body("succeed"))
        await bench.work_once()
        assert await history(bench) == [("running", first), ("succeeded", second)]


async def test_a_job_by_hand_names_no_message(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        kind = bench.handler.kind
        by_hand: MessageProcessor[Any] = MessageProcessor(
            kind, NullQueue(), bench.aws.table, bench.settings, bench.stop, "hand", by_hand=True
        )
        job = kind.decode(Received("made up", json.dumps(body("succeed")), ""))
        assert await by_hand.take(Received("made up", encode(job), "")) == "DONE"
        assert await by_hand.take(Received("made up", encode(job), "")) == "ALREADY_SUCCEEDED"
        assert await history(bench) == [("running", None), ("succeeded", None)]
