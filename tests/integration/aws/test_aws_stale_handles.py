"""Only a receipt handle that is not valid any more makes a message gone; no other wrong parameter does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.scripted_aws import Answer, scripted_aws
from workers.aws_clients import open_aws
from workers.errors import QueueError
from workers.settings import Settings
from workers.sqs.queue import JobQueue, Received

MESSAGE = Received(message_id="m", body="b", receipt_handle="h")


def refusal(code: str, message: str) -> Answer:
    """As SQS refuses, with the code of its older protocol beside the new one."""
    body = f'{{"__type": "com.amazonaws.sqs#{code}", "message": "{message}"}}'.encode()
    headers = {
        "x-amzn-RequestId": "R",
        "x-amzn-query-error": f"{code};Sender",
        "Content-Type": "application/x-amz-json-1.0",
    }
    return Answer(400, body, headers)


@asynccontextmanager
async def queue_that_refuses(code: str, message: str) -> AsyncIterator[JobQueue]:
    with scripted_aws(lambda _: refusal(code, message)) as aws:
        settings = Settings.from_environ(
            {"AWS_ENDPOINT_URL": aws.url, "AWS_REGION": "us-east-1", "DYNAMO_TABLE_NAME": "t"}
        )
        async with open_aws(settings) as clients:
            yield JobQueue(clients.sqs, f"{aws.url}/1/q", f"{aws.url}/1/d")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ReceiptHandleIsInvalid", "The input receipt handle is invalid."),
        ("AWS.SimpleQueueService.MessageNotInflight", "Message is not in flight."),
        (
            "InvalidParameterValue",
            "Value h for parameter ReceiptHandle is invalid. Reason: Message does not exist.",
        ),
        ("InvalidParameterValueException", "The receipt handle has expired"),
    ],
)
async def test_a_stale_handle_is_a_message_that_is_gone(code: str, message: str) -> None:
    async with queue_that_refuses(code, message) as queue:
        assert not await queue.show_after(MESSAGE, 5)
        await queue.delete(MESSAGE)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "InvalidParameterValue",
            "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total is beyond the limit.",
        ),
        ("InvalidParameterValue", "Value 901 for parameter DelaySeconds is invalid."),
        ("InvalidParameterValueException", "The value for the queue's name is invalid."),
        ("InvalidAddress", "The address is not valid for this endpoint."),
    ],
)
async def test_another_wrong_parameter_is_a_failure_that_names_it(code: str, message: str) -> None:
    async with queue_that_refuses(code, message) as queue:
        with pytest.raises(QueueError, match=code) as refused:
            await queue.show_after(MESSAGE, 5)
        assert message.rstrip(".") in str(refused.value)
        with pytest.raises(QueueError, match=code):
            await queue.delete(MESSAGE)
