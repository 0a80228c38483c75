"""SQS as a worker sees it, against a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.work import training_bench
from workers.aws_clients import open_aws
from workers.errors import QueueError, QueueUnusable
from workers.local_aws.local_stack import LocalStack
from workers.operator.results import read_results
from workers.sqs.queue import JobQueue, Received


async def test_a_queue_that_does_not_exist_is_unusable(stack: LocalStack) -> None:
    async with open_aws(stack.settings) as aws:
        with pytest.raises(QueueUnusable, match="There is no queue"):
            await JobQueue.open(aws.sqs, f"{stack.environ['AWS_ENDPOINT_URL']}/123456789012/nowhere")


async def test_a_queue_without_a_dead_letter_queue_is_unusable(stack: LocalStack) -> None:
    async with open_aws(stack.settings) as aws:
        made = await aws.sqs.create_queue(QueueName=f"bare{stack.environ['DYNAMO_TABLE_NAME'][-8:]}")
        with pytest.raises(QueueUnusable, match="RedrivePolicy"):
            await JobQueue.open(aws.sqs, made["QueueUrl"])


async def test_a_message_that_is_gone_cannot_be_kept_and_deleting_it_is_no_error(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send("text")
        message = await bench.queue.receive(wait_seconds=0, visibility_seconds=30)
        assert message is not None
        await bench.queue.delete(message)
        assert await bench.queue.show_after(message, 10) is False
        await bench.queue.delete(message)
        unknown = Received(message_id="x", body="", receipt_handle="never given out")
        assert await bench.queue.show_after(unknown, 10) is False


async def test_a_message_shown_again_at_once_comes_again_with_a_higher_count(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send("text")
        first = await bench.queue.receive(wait_seconds=0, visibility_seconds=30)
        assert first is not None
        assert await bench.queue.receive(wait_seconds=0, visibility_seconds=30) is None
        assert await bench.queue.show_after(first, 0)
        again = await bench.queue.receive(wait_seconds=1, visibility_seconds=30)
        assert again is not None
        assert (again.message_id, again.receive_count) == (first.message_id, 2)


async def test_an_endpoint_that_is_down_is_a_queue_error(stack: LocalStack) -> None:
    settings = stack.settings.model_copy(update={"endpoint_url": "http://127.0.0.1:9"})
    async with open_aws(settings) as aws:
        queue = JobQueue(aws.sqs, "http://127.0.0.1:9/1/q", "http://127.0.0.1:9/1/q-dlq")
        with pytest.raises(QueueError, match="could not be asked"):
            await queue.receive(wait_seconds=0, visibility_seconds=30)


async def test_results_are_taken_off_or_kept(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        for n in range(3):
            await bench.aws.sqs.send_message(QueueUrl=bench.results_url, MessageBody=f"result {n}")
        kept = [body async for body in read_results(stack.settings, "train", keep=True, wait_seconds=0)]
        await asyncio.sleep(0.1)
        taken = [body async for body in read_results(stack.settings, "train", keep=False, wait_seconds=1)]
        assert sorted(kept) == sorted(taken) == [f"result {n}" for n in range(3)]
        assert [
            body async for body in read_results(stack.settings, "train", keep=False, wait_seconds=0)
        ] == []


async def test_a_body_at_the_limit_is_buried_without_its_reason_rather_than_lost(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        send = bench.aws.sqs.send_message

        async def strict(**arguments: Any) -> Any:
            if arguments["MessageAttributes"]:
                fault: Any = {
                    "Code": "InvalidParameterValue",
                    "Message": "One or more: must be shorter than 262144 bytes.",
                }
                raise ClientError({"Error": fault}, "SendMessage")
            return await send(**arguments)

        await bench.send("text")
        message = await bench.queue.receive(wait_seconds=0, visibility_seconds=30)
        assert message is not None
        monkeypatch.setattr(bench.aws.sqs, "send_message", strict)
        await bench.queue.bury(message, {"error_message": "why"})
        assert await bench.depth(bench.queue.dead_letter_url) == (1, 0)
        assert await bench.depth() == (0, 0)
