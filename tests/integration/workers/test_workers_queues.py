"""Queue depths, read without receiving a message; an unreadable queue differs from an empty one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.work import training_bench
from workers.aws_clients import open_aws
from workers.errors import QueueUnusable, SettingsError
from workers.local_aws.local_stack import LocalStack
from workers.settings import Settings
from workers.sqs.queue_depths import Depth, QueueState, look_for_oldest, read_queues


async def read(settings: Settings) -> dict[str, QueueState]:
    async with open_aws(settings) as aws:
        return {state.name: state for state in await read_queues(aws.sqs, settings)}


async def test_messages_are_counted_by_where_they_are(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send("not a job")
        await bench.work_once()
        for _ in range(3):
            await bench.send("{}")
        await bench.aws.sqs.send_message(QueueUrl=bench.queue.url, MessageBody="{}", DelaySeconds=60)
        assert await bench.queue.receive(wait_seconds=0, visibility_seconds=60)
        states = await read(stack.settings)
    assert states["train"].depth == Depth(visible=2, in_flight=1, delayed=1)
    assert states["train"].dead == Depth(visible=1, in_flight=0, delayed=0)
    assert states["export"].depth == states["export"].dead == Depth(0, 0, 0)
    # What the worker buried, it also answered.
    assert states["train-results"].depth == Depth(visible=0, in_flight=0, delayed=0)


async def test_a_queue_that_is_gone_or_not_set_leaves_the_others_readable(stack: LocalStack) -> None:
    gone = f"{stack.environ['TRAIN_JOB_QUEUE_URL']}-gone"
    states = await read(
        stack.settings.model_copy(update={"train_job_queue_url": gone, "export_job_queue_url": None})
    )
    assert states["train"].depth is None
    assert gone in (states["train"].error or "")
    assert (states["export"].url, states["export"].error) == (None, None)
    assert states["export"].variable == "COREML_EXPORT_JOB_QUEUE_URL"
    assert states["train-results"].depth == Depth(0, 0, 0)


async def test_a_queue_without_dead_letters_is_counted_all_the_same(stack: LocalStack) -> None:
    stack.client("sqs").set_queue_attributes(
        QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"], Attributes={"RedrivePolicy": ""}
    )
    state = (await read(stack.settings))["train"]
    assert (state.depth, state.dead, state.error) == (Depth(0, 0, 0), None, None)


async def test_where_no_queue_can_be_read_the_reason_is_raised(stack: LocalStack) -> None:
    fields = (f"{kind}_{what}_queue_url" for kind in ("train", "export") for what in ("job", "results"))
    with pytest.raises(QueueUnusable, match="There is no queue"):
        await read(stack.settings.model_copy(update=dict.fromkeys(fields, "http://127.0.0.1:1/1/gone")))


async def test_a_look_finds_the_oldest_message_and_shows_it_again_at_once(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        assert await look_for_oldest(bench.aws.sqs, stack.settings, "train") is None
        await bench.send("first")
        await bench.send("second")
        sent_at = await look_for_oldest(bench.aws.sqs, stack.settings, "train")
        assert sent_at is not None
        assert timedelta() <= datetime.now(UTC) - sent_at < timedelta(minutes=5)
        assert await bench.depth() == (2, 0)


async def test_a_look_at_a_queue_that_is_not_set_names_its_variable(stack: LocalStack) -> None:
    async with open_aws(stack.settings) as aws:
        with pytest.raises(SettingsError, match="TRAIN_JOB_QUEUE_URL"):
            await look_for_oldest(
                aws.sqs, stack.settings.model_copy(update={"train_job_queue_url": None}), "train"
            )
