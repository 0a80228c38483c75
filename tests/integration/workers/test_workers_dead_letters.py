"""Messages that no worker can take: buried with their reason, found again, sent back or deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from messages.errors import InvalidMessage
from messages.fields import derive_id
from tests.support.work import Bench, training_bench
from workers.errors import NoDeadLetterQueue, QueueError, SettingsError, WorkerError
from workers.local_aws.local_stack import LocalStack
from workers.settings import Settings
from workers.sqs import dead_letters as looking
from workers.sqs.dead_letters import SOURCES, DeadLetter, LetterMissing, QueueName, choose, dead_letters
from workers.sqs.queue import JobQueue, Received
from workers.sqs.queue_definitions import QUEUES

FAULTY = json.dumps({"job_name": "../up", "hyperparameters": {"epochs": -1}})
MENDED = json.dumps({"job_name": "mended", "tags": {"script": "succeed"}}).encode()
TEN_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "kind": {"DataType": "String", "StringValue": "train"},
    "error_class": {"DataType": "String", "StringValue": "a sender's own"},
    "worker": {"DataType": "String.custom", "StringValue": 'ключ 🧾 "quoted"\tand\nmore'},
    "priority": {"DataType": "Number", "StringValue": "1.50"},
    "count": {"DataType": "Number.int", "StringValue": "7"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff\x80not text"},
    "picture": {"DataType": "Binary.png", "BinaryValue": b"\x89PNG"},
    **{f"more{n}": {"DataType": "String", "StringValue": "x" * n} for n in (1, 2, 3)},
}


async def look(bench: Bench, queue: QueueName | None = "train") -> list[DeadLetter]:
    """What lies there; shown to others again."""
    async with dead_letters(bench.settings, queue, wait_seconds=0) as letters:
        return letters


async def bury(bench: Bench, text: str = FAULTY, attributes: dict[str, Any] | None = None) -> str:
    """Send a message that the worker buries; returns the id that it was sent under."""
    answer = await bench.aws.sqs.send_message(
        QueueUrl=bench.queue.url, MessageBody=text, MessageAttributes=attributes or {}
    )
    await bench.work_once()
    return str(answer["MessageId"])


async def take(bench: Bench) -> Received:
    message = await bench.queue.receive(wait_seconds=0, visibility_seconds=30)
    assert message is not None
    return message


async def set_redrive_policy(bench: Bench, policy: str) -> None:
    await bench.aws.sqs.set_queue_attributes(QueueUrl=bench.queue.url, Attributes={"RedrivePolicy": policy})


async def let_sqs_move_it(bench: Bench, text: str) -> str:
    """Have SQS itself move a message that was received too often; returns its id."""
    arn = (
        await bench.aws.sqs.get_queue_attributes(
            QueueUrl=bench.queue.dead_letter_url, AttributeNames=["QueueArn"]
        )
    )["Attributes"]["QueueArn"]
    await set_redrive_policy(bench, json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1}))
    message_id = await bench.send(text, worker="the sender's word")
    await bench.queue.show_after(await take(bench), 0)
    assert await bench.queue.receive(wait_seconds=0, visibility_seconds=30) is None
    return message_id


async def test_a_buried_message_says_why_and_where_it_came_from(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        sent_as = await bury(bench)
        [letter] = await look(bench)
        assert letter.message.body == FAULTY
        assert {fault.field for fault in letter.faults} == {"job_name", "hyperparameters.epochs"}
        assert (letter.sent_as, letter.receive_count) == (sent_as, 1)
        told = letter.as_json()
        assert (told["error_class"], told["worker"]) == ("message", "bench")
        assert told["source_queue"] == bench.queue.url.rsplit("/", 1)[1]
        assert "job_name" in told["error_message"]
        assert told["when"] == letter.reasons["failed_at"]
        assert (told["attributes"], told["body"]) == ({}, FAULTY)


async def test_a_wrapped_job_is_one_fault_that_names_the_wrapping_and_its_setting(
    stack: LocalStack, tmp_path: Path
) -> None:
    notification = {"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": "{}"}
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench, json.dumps(notification))
        [letter] = await look(bench)
        [fault] = letter.faults
        assert "SNS notification" in fault.problem
        assert "raw message delivery" in letter.reasons["error_message"]


async def test_a_body_with_a_byte_order_mark_is_handled(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send("\ufeff" + MENDED.decode())
        await bench.work_once()
        [result] = await bench.results()
        assert (result["job_name"], result["status"]) == ("mended", "succeeded")


async def test_ten_attributes_of_every_type_survive_burial_and_redrive(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench, "no JSON at all", TEN_ATTRIBUTES)
        async with dead_letters(bench.settings, "train", wait_seconds=0) as [letter]:
            assert len(letter.message.typed_attributes) <= 10
            assert letter.reasons["error_class"] == "message"
            assert letter.attributes == TEN_ATTRIBUTES
            await letter.redrive()
        back = await take(bench)
        assert (back.body, back.typed_attributes) == ("no JSON at all", TEN_ATTRIBUTES)
        assert await bench.depth(bench.queue.dead_letter_url) == (0, 0)


async def test_a_message_that_is_buried_again_carries_its_attributes_once(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench, FAULTY, TEN_ATTRIBUTES)
        for _ in range(2):
            async with dead_letters(bench.settings, "train", wait_seconds=0) as [letter]:
                await letter.redrive()
            await bench.work_once()
        [letter] = await look(bench)
        assert letter.attributes == TEN_ATTRIBUTES


async def test_a_message_that_sqs_moved_itself_gives_no_reasons_and_goes_back_as_it_came(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        message_id = await let_sqs_move_it(bench, FAULTY)
        async with dead_letters(bench.settings, "train", wait_seconds=0) as [letter]:
            assert (letter.id, letter.sent_as, letter.reasons, letter.faults) == (message_id,) * 2 + ({}, [])
            assert letter.receive_count >= 1
            assert letter.when.startswith("20")
            assert letter.as_json()["worker"] is None
            await letter.redrive()
        back = await take(bench)
        assert (back.body, back.attributes) == (FAULTY, {"worker": "the sender's word"})


async def test_a_job_whose_id_came_from_its_message_is_the_same_job_when_it_goes_back(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        message_id = await let_sqs_move_it(bench, json.dumps({"job_name": "nameless"}))
        async with dead_letters(bench.settings, "train", wait_seconds=0) as [letter]:
            await letter.redrive()
        body = json.loads((await take(bench)).body)
        assert (body["job_name"], body["job_id"]) == ("nameless", derive_id("train", message_id))


async def test_a_mended_message_is_sent_back_and_handled(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        wrong_kind = {"kind": {"DataType": "String", "StringValue": "export"}}
        sent_as = await bury(bench, FAULTY, {**TEN_ATTRIBUTES, **wrong_kind})
        async with dead_letters(bench.settings, "train", wait_seconds=0) as [letter]:
            await letter.redrive(MENDED)
        await bench.work_once()
        [result] = await bench.results()
        assert (result["status"], result["job_id"]) == ("succeeded", derive_id("train", sent_as))
        assert await bench.depth() == await bench.depth(bench.queue.dead_letter_url) == (0, 0)


async def test_a_mended_body_may_begin_with_a_byte_order_mark(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench)
        async with dead_letters(bench.settings, "train", wait_seconds=0) as [letter]:
            await letter.redrive(b"\xef\xbb\xbf" + MENDED)
        assert (await take(bench)).body.startswith('{"job_id":')


@pytest.mark.parametrize("mended", [b"{}", b"\xff", FAULTY.encode()])
async def test_a_body_that_is_mended_badly_is_refused_and_changes_nothing(
    stack: LocalStack, tmp_path: Path, mended: bytes
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench)
        with pytest.raises(InvalidMessage):
            async with dead_letters(bench.settings, "train", wait_seconds=0) as [letter]:
                await letter.redrive(mended)
        assert await bench.depth() == (0, 0)
        assert await bench.depth(bench.queue.dead_letter_url) == (1, 0)


async def test_what_ends_a_redrive_half_way_leaves_the_message_twice_rather_than_not_at_all(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench)

        async def fail(*_: object) -> None:
            raise QueueError("the network is gone")

        monkeypatch.setattr(JobQueue, "delete", fail)
        with pytest.raises(QueueError, match="network"):
            async with dead_letters(bench.settings, "train", wait_seconds=0) as [letter]:
                await letter.redrive()
        assert await bench.depth() == (1, 0)
        assert await bench.depth(bench.queue.dead_letter_url) == (1, 0)


async def test_a_letter_that_somebody_else_took_is_not_sent_a_second_time(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench)
        async with dead_letters(bench.settings, "train", wait_seconds=0) as [letter]:
            await letter.dead.delete(letter.message)
            for treat in (letter.redrive, letter.discard):
                with pytest.raises(LetterMissing, match=letter.id):
                    await treat()
        assert await bench.depth() == (0, 0)


async def test_many_letters_are_all_found_and_shown_again_at_once(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        for n in range(23):
            await bench.aws.sqs.send_message(QueueUrl=bench.queue.dead_letter_url, MessageBody=str(n))
        with suppress(LetterMissing):
            async with dead_letters(bench.settings, "train", wait_seconds=0) as letters:
                assert sorted(int(letter.message.body) for letter in letters) == list(range(23))
                assert await bench.depth(bench.queue.dead_letter_url) == (0, 23)
                choose(letters, ["no such id"])
        assert await bench.depth(bench.queue.dead_letter_url) == (23, 0)


async def test_a_look_ends_when_what_it_has_seen_comes_again(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench)
        receive_batch = JobQueue.receive_batch

        async def unhidden(self: JobQueue, **arguments: Any) -> list[Received]:
            return await receive_batch(self, **{**arguments, "visibility_seconds": 0})

        monkeypatch.setattr(JobQueue, "receive_batch", unhidden)
        async with (
            asyncio.timeout(8),  # sooner than the letters would be hidden again
            dead_letters(bench.settings, "train", wait_seconds=0) as [letter],
        ):
            await letter.redrive()  # by the handle of the newest delivery
        assert await bench.depth() == (1, 0)
        assert await bench.depth(bench.queue.dead_letter_url) == (0, 0)


async def test_a_look_that_one_queue_fails_shows_the_letters_of_the_others_again(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench)
        receive_batch = JobQueue.receive_batch

        async def failing(self: JobQueue, **arguments: Any) -> list[Received]:
            if "export-jobs" in self.url:
                raise QueueError("the network is gone")
            return await receive_batch(self, **arguments)

        monkeypatch.setattr(JobQueue, "receive_batch", failing)
        with pytest.raises(QueueError, match="network"):
            await look(bench, None)
        assert await bench.depth(bench.queue.dead_letter_url) == (1, 0)


async def test_a_long_look_hides_its_letters_again_and_again(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench)
        hidden = asyncio.Semaphore(0)
        show_all_after = JobQueue.show_all_after

        async def counted(self: JobQueue, messages: Sequence[Received], seconds: float) -> None:
            await show_all_after(self, messages, seconds)
            if seconds:
                hidden.release()

        monkeypatch.setattr(JobQueue, "show_all_after", counted)
        monkeypatch.setattr(looking, "HIDDEN_SECONDS", 0.02)
        async with dead_letters(bench.settings, "train", wait_seconds=0), asyncio.timeout(20):
            await hidden.acquire()
            await hidden.acquire()
            assert await bench.depth(bench.queue.dead_letter_url) == (0, 1)
        assert await bench.depth(bench.queue.dead_letter_url) == (1, 0)


async def test_ids_are_chosen_in_their_order_and_each_missing_one_is_named(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench)
        await bury(bench)
        first, second = await look(bench)
        assert first.when < second.when
        chosen = choose([first, second], [second.id, first.id, second.id])
        assert [letter.id for letter in chosen] == [second.id, first.id]
        with pytest.raises(LetterMissing, match=r"letter one, two\."):
            choose([first, second], ["one", first.id, "two"])


async def test_without_a_name_every_queue_that_has_dead_letters_is_looked_at(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bury(bench)
        exports = await JobQueue.open(bench.aws.sqs, str(bench.settings.export_job_queue_url))
        await bench.aws.sqs.send_message(QueueUrl=exports.dead_letter_url, MessageBody="x")
        assert {letter.queue for letter in await look(bench, None)} == {"train", "export"}
        await set_redrive_policy(bench, "")
        assert {letter.queue for letter in await look(bench, None)} == {"export"}
        with pytest.raises(NoDeadLetterQueue, match="RedrivePolicy"):
            await look(bench, "train")


async def test_a_queue_that_is_not_set_is_named_by_its_variable() -> None:
    settings = Settings.from_environ({"DYNAMO_TABLE_NAME": "t", "AWS_REGION": "us-east-1"})
    for queue in ("export-results", None):
        with pytest.raises(SettingsError, match="COREML_EXPORT_RESULTS_QUEUE_URL"):
            async with dead_letters(settings, queue):
                pytest.fail("there is nothing to look at")


def test_every_queue_of_ours_can_be_looked_at() -> None:
    assert {source.setting for source in SOURCES.values()} == {spec.setting for spec in QUEUES}


async def test_a_result_that_nobody_took_goes_back_as_it_is(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        results = await JobQueue.open(bench.aws.sqs, bench.results_url)
        await bench.aws.sqs.send_message(QueueUrl=results.dead_letter_url, MessageBody='{"a": 1}')
        async with dead_letters(bench.settings, "train-results", wait_seconds=0) as [letter]:
            await letter.redrive()
        assert await bench.results() == [{"a": 1}]


@pytest.mark.parametrize(
    ("room", "told"),
    [(9_000, {"faults", "error_message"}), (800, {"error_message"}), (60, set())],
)
async def test_reasons_give_way_to_the_body_and_attributes_that_cannot_be_made_again(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, told: set[str]
) -> None:
    text = json.dumps({f"no field {n}": 1 for n in range(40)})
    sender = {"sender": {"DataType": "String", "StringValue": "somebody"}}
    async with training_bench(stack, tmp_path) as bench:
        send_message = bench.aws.sqs.send_message

        async def strict(**arguments: Any) -> Any:
            beside = arguments["MessageAttributes"].items()
            if sum(len(name) + len(str(value["StringValue"])) for name, value in beside) > room:
                fault: Any = {
                    "Code": "InvalidParameterValue",
                    "Message": "One or more: Message must be shorter than 262144 bytes.",
                }
                raise ClientError({"Error": fault}, "SendMessage")
            return await send_message(**arguments)

        monkeypatch.setattr(bench.aws.sqs, "send_message", strict)
        await bury(bench, text, sender)
        [letter] = await look(bench)
        assert letter.reasons.keys() & {"faults", "error_message"} == told
        assert (letter.message.body, letter.attributes) == (text, sender)
        assert await bench.depth() == (0, 0)


async def test_a_hiding_that_ended_early_is_no_secret(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise WorkerError("the queue is gone")

    monkeypatch.setattr(looking, "_keep_hidden", fail)
    async with training_bench(stack, tmp_path) as bench:
        with pytest.raises(WorkerError, match="the queue is gone"):
            await look(bench)
