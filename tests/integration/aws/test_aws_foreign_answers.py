"""A proxy or a captive portal in the place of AWS is a fault of the network, whatever it answers."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from receipt_dynamo import DynamoClient
from receipt_dynamo.errors import DynamoError, NetworkError
from tests.support.scripted_aws import Answer, Asked, ScriptedAws, json_answer, pass_on, portal, scripted_aws
from workers import daemon
from workers.aws_clients import open_aws
from workers.errors import GroupError, QueueError, WorkerError
from workers.host.auto_scaling import AutoScalingGroup, auto_scaling_opened
from workers.local_aws.local_stack import LocalStack
from workers.runtime import loop
from workers.settings import Settings
from workers.sqs.queue import JobQueue, send
from workers.sqs.queue_depths import read_depth

JOB = "3f52804b-2fad-4e00-92c8-b593da3a8ed3"
GARBAGE: dict[str, Callable[[], Answer]] = {
    "portal": portal,
    "redirect": lambda: portal(302),
    "forbidding proxy": lambda: portal(403),
    "proxy wants a password": lambda: portal(407),
    "bad request": lambda: portal(400),
    "JSON of somebody": lambda: Answer(200, b'{"hello": "world"}', {"Content-Type": "application/json"}),
    "nothing": lambda: Answer(200),
    "HTML of AWS": lambda: Answer(200, b"<html>", {"x-amzn-RequestId": "R"}),
    "a list": lambda: json_answer([]),
    "a number": lambda: json_answer(7),
    "a text": lambda: json_answer("hello"),
    "half of it": lambda: Answer(200, b'{"Items": [', {"x-amzn-RequestId": "R"}),
    "other types": lambda: json_answer({"Items": 7, "Item": [], "Count": {}, "Attributes": 3, "Messages": 3}),
    "items of text": lambda: json_answer({"Items": ["x"], "Item": "x", "Attributes": "x", "Messages": ["x"]}),
    "not UTF-8": lambda: Answer(200, b"\xff\xfe{", {"x-amzn-RequestId": "R"}),
}
MESSAGES = [{}, {"MessageId": "m"}, {"MessageId": "m", "Body": "b"}, None, 7]


def settings_at(url: str, **more: Any) -> Settings:
    return Settings.from_environ(
        {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "DYNAMO_TABLE_NAME": "table",
            "LAYOUTLM_TRAINING_BUCKET": "bucket",
            **{
                f"{name}_QUEUE_URL": f"{url}/1/{name.lower()}"
                for name in ("TRAIN_JOB", "TRAIN_RESULTS", "COREML_EXPORT_JOB", "COREML_EXPORT_RESULTS")
            },
            **more,
        }
    )


@asynccontextmanager
async def asked(answer: Callable[[Asked], Answer]) -> AsyncIterator[tuple[Any, ScriptedAws]]:
    """The daemon's clients, whose requests the script answers."""
    with scripted_aws(answer) as aws:
        async with open_aws(settings_at(aws.url)) as clients:
            yield clients, aws


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_the_table_answers_nothing_by_foreign_words(garbage: str) -> None:
    async with asked(lambda _: GARBAGE[garbage]()) as (clients, aws):
        for call in (
            clients.table.get_job(JOB),
            clients.table.list_jobs(),
            clients.table.request_cancel(JOB, kind="train", now="2026-01-01T00:00:00.000000+00:00"),
            clients.table.list_leases("train", "held", before="2026-01-01T00:00:00.000000+00:00"),
        ):
            with pytest.raises(DynamoError) as caught:
                await call
            assert isinstance(caught.value, NetworkError), caught.value
        with pytest.raises(DynamoError):
            DynamoClient("table", endpoint_url=aws.url).list_jobs()


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_a_queue_answers_nothing_by_foreign_words(garbage: str) -> None:
    async with asked(lambda _: GARBAGE[garbage]()) as (clients, aws):
        url = f"{aws.url}/1/train_job"
        queue = JobQueue(clients.sqs, url, url)
        for call in (
            JobQueue.open(clients.sqs, url),
            send(clients.sqs, url, "body", {}),
            read_depth(clients.sqs, url),
        ):
            with pytest.raises((QueueError, WorkerError)) as caught:
                await call
            assert isinstance(caught.value, QueueError) or "no dead-letter queue" in str(caught.value)
        with pytest.raises(QueueError):
            await queue.receive(wait_seconds=0, visibility_seconds=1)


@pytest.mark.parametrize("message", MESSAGES)
async def test_a_message_that_is_none_is_a_failed_receive(message: Any) -> None:
    async with asked(lambda _: json_answer({"Messages": [message]})) as (clients, aws):
        queue = JobQueue(clients.sqs, f"{aws.url}/1/q", f"{aws.url}/1/d")
        with pytest.raises(QueueError, match="could not be asked"):
            await queue.receive(wait_seconds=0, visibility_seconds=1)


@pytest.mark.parametrize(
    "date",
    [
        "garbage",
        "Thu, 99 Foo 2024",
        "0",
        "Mon, 01 Jan 0001 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ],
)
async def test_a_date_that_is_none_tells_no_time(date: str) -> None:
    answer = json_answer({})
    dated = Answer(200, answer.body, answer.headers, date=date)
    async with asked(lambda _: dated) as (clients, _):
        before = clients.table.clock.now()
        assert await clients.table.get_lease(JOB, kind="train") is None
        assert abs((clients.table.clock.now() - before).total_seconds()) < 60
        clients.table.clock.text(90)


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_auto_scaling_answers_nothing_by_foreign_words(garbage: str) -> None:
    with scripted_aws(lambda _: GARBAGE[garbage]()) as aws:
        async with auto_scaling_opened(settings_at(aws.url)) as client:
            group = AutoScalingGroup(client, "group", "i-1")
            for call in (group.may_shrink(), group.find_hook()):
                with pytest.raises(GroupError):
                    await call


async def run_idle(stack: LocalStack, run_dir: Path, foreign: Callable[[int], Answer | None]) -> int:
    """Run a daemon whose nth receive and whose later reads of the table are answered so; None is by AWS."""
    receives = 0

    def answer(asked: Asked) -> Answer:
        nonlocal receives
        given = None
        if asked.call == "ReceiveMessage":
            receives += 1
            given = foreign(receives)
            if given is None and receives > 1:
                os.kill(os.getpid(), signal.SIGTERM)
        elif asked.call == "Query" and receives:
            given = portal()
        return given or pass_on(asked, str(stack.settings.endpoint_url))

    with scripted_aws(answer) as aws:
        changes = {"endpoint_url": aws.url, "poll_seconds": 0, "run_dir": run_dir, "sweep_seconds": 0.01}
        return await daemon.run_daemon("train", stack.settings.model_copy(update=changes))


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_MAX_PAUSE_SECONDS", 0.01)


@pytest.mark.usefixtures("_short_pauses")
async def test_an_idle_daemon_outlives_what_answers_nine_times_in_the_place_of_aws(
    stack: LocalStack, run_dir: Path
) -> None:
    with capture_logs() as lines:
        answers = [*GARBAGE.values()]
        assert (
            await run_idle(stack, run_dir, lambda n: answers[n]() if n < loop.FAILED_RECEIVES else None) == 0
        )
    events = [line["event"] for line in lines]
    assert events.count("receive failed") == loop.FAILED_RECEIVES - 1
    assert "worker stopped" in events


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("garbage", ["portal", "a list", "half of it"])
async def test_ten_foreign_answers_in_a_row_end_it_by_the_code_of_a_lost_endpoint(
    stack: LocalStack, run_dir: Path, garbage: str
) -> None:
    with capture_logs() as lines:
        assert await run_idle(stack, run_dir, lambda _: GARBAGE[garbage]()) == 69
    assert lines[-1]["error_class"] == "EndpointLost"
