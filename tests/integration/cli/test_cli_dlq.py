"""`dlq` and `cancel` as people type them, as processes, against the emulated AWS and real workers."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from layoutlm_cli.commands.dlq import app
from messages.train import TrainJob
from tests.support.work import Bench, export_bench, training_bench
from workers.jobs.job_record import job_record, show_job
from workers.local_aws.local_stack import LocalStack

FAULTY = {"job_name": "../up", "note": "[/bold] \u009b31m"}
ATTRIBUTES = {
    "tries": {"DataType": "Number", "StringValue": "3"},
    "picture": {"DataType": "Binary", "BinaryValue": "AP+A"},
}


def cli(stack: LocalStack, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "layoutlm_cli", *arguments],
        env=stack.child_environ(COLUMNS="300"),
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def aws(stack: LocalStack, *arguments: str) -> dict[str, Any]:
    """The AWS CLI, as operators use it."""
    answer = subprocess.run(
        [
            Path(sys.executable).parent / "aws",
            "--endpoint-url",
            stack.environ["AWS_ENDPOINT_URL"],
            "sqs",
            *arguments,
        ],
        env=stack.child_environ(AWS_PAGER="", AWS_DEFAULT_OUTPUT="json"),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return dict(json.loads(answer.stdout or "{}"))


def refused(answer: subprocess.CompletedProcess[str], code: int, *words: str) -> bool:
    """Whether a command ended with this code, and said why in so many words."""
    assert "Traceback" not in answer.stderr
    assert all(word in answer.stderr for word in words), answer.stderr
    return answer.returncode == code


async def bury(bench: Bench, body: object = FAULTY) -> str:
    """Have the worker bury a message; returns the dead letter's id."""
    known = await ids(bench)
    await bench.send(body)
    await bench.work_once()
    [new] = await ids(bench) - known
    return new


async def ids(bench: Bench) -> set[str]:
    """The ids of the dead letters, which stay visible."""
    answer = await bench.aws.sqs.receive_message(
        QueueUrl=bench.queue.dead_letter_url, MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return {message["MessageId"] for message in answer.get("Messages", ())}


async def test_a_letter_is_listed_shown_and_sent_back_with_the_attributes_that_it_came_with(
    stack: LocalStack, tmp_path: Path
) -> None:
    jobs, body = stack.environ["TRAIN_JOB_QUEUE_URL"], json.dumps(FAULTY)
    receive = ("receive-message", "--queue-url", jobs, "--message-attribute-names", "All")
    send = ("send-message", "--queue-url", jobs, "--message-body", body)
    aws(stack, *send, "--message-attributes", json.dumps(ATTRIBUTES))
    [sent] = aws(stack, *receive, "--visibility-timeout", "0")["Messages"]
    assert {value["DataType"] for value in sent["MessageAttributes"].values()} == {"Number", "Binary"}
    async with training_bench(stack, tmp_path) as bench:
        await bench.work_once()
        [letter_id] = await ids(bench)

        listed = cli(stack, "dlq", "list").stdout
        assert all(word in listed for word in (letter_id, "train", "message", "job_name", "bench"))
        [line] = cli(stack, "dlq", "list", "--queue", "train", "--json").stdout.splitlines()
        told = json.loads(line)
        assert (told["id"], told["body"], told["original_message_id"]) == (letter_id, body, sent["MessageId"])
        assert {fault["field"] for fault in told["faults"]} == {"job_name", "note"}

        shown = cli(stack, "dlq", "show", letter_id).stdout
        assert '  "job_name": "../up",\n  "note": "[/bold] \\x9b31m"\n' in shown
        picture = sent["MessageAttributes"]["picture"]["BinaryValue"]
        assert all(word in shown for word in ("is not a field", "Binary", picture, told["when"]))

        answer = cli(stack, "dlq", "redrive", letter_id)
        assert (answer.returncode, answer.stdout) == (0, f"sent {letter_id} back to train\n")
        assert await bench.depth(bench.queue.dead_letter_url) == (0, 0)
        [back] = aws(stack, *receive)["Messages"]
        assert (back["Body"], back["MessageAttributes"]) == (body, sent["MessageAttributes"])


async def test_a_mended_body_is_sent_once_it_has_no_faults_and_the_worker_takes_it(
    stack: LocalStack, tmp_path: Path
) -> None:
    mended = tmp_path / "mended.json"
    async with training_bench(stack, tmp_path) as bench:
        letter_id = await bury(bench)
        mended.write_text(json.dumps({"job_name": "good", "hyperparameters": {"epochs": 0}}))
        redrive = ("dlq", "redrive", letter_id, "--queue", "train", "--body", str(mended))
        assert refused(cli(stack, *redrive), 65, "hyperparameters.epochs")
        assert await ids(bench) == {letter_id}

        mended.write_text(json.dumps({"job_name": "good", "tags": {"script": "succeed"}}))
        assert cli(stack, *redrive).returncode == 0
        await bench.work_once()
        [result] = await bench.results()
        assert (result["job_name"], result["status"]) == ("good", "succeeded")
        assert cli(stack, "dlq", "list", "--queue", "train").stderr == "no dead letters\n"


async def test_letters_are_discarded_only_when_the_person_says_so(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        letters = {await bury(bench), await bury(bench)}
        everything = ("dlq", "discard", "--all", "--queue", "train")
        kept = cli(stack, *everything, said="n\n")
        assert kept.returncode != 0
        assert all(word in kept.stdout for word in (*letters, "Delete 2 for good?"))
        assert await ids(bench) == letters

        one, other = letters
        assert cli(stack, "dlq", "discard", one, "--queue", "train", "--yes").stdout == f"deleted {one}\n"
        assert await ids(bench) == {other}
        assert f"deleted {other}" in cli(stack, *everything, said="y\n").stdout
        assert await ids(bench) == set()
        assert await bench.depth() == (0, 0)


async def test_an_id_that_is_not_there_changes_nothing(stack: LocalStack, tmp_path: Path) -> None:
    async with training_bench(stack, tmp_path) as bench:
        letter_id = await bury(bench)
        assert refused(cli(stack, "dlq", "redrive", letter_id, "nobody"), 75, "no dead letter nobody")
        assert refused(cli(stack, "dlq", "discard", "--yes", "nobody", letter_id), 75, "nobody")
        assert await ids(bench) == {letter_id}
        assert await bench.depth() == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("redrive",), "--all"),
        (("discard", "--all", "--yes"), "--queue"),
        (("redrive", "one", "--all", "--queue", "train"), "--all"),
        (("redrive", "one", "two", "--body", __file__), "single"),
        (("list", "--queue", "trian"), "trian"),
    ],
)
def test_a_request_that_is_not_clear_is_refused_before_anything_is_asked(
    arguments: tuple[str, ...], word: str
) -> None:
    answer = CliRunner().invoke(app, arguments, env={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert answer.exit_code == 2
    assert word in answer.stderr


async def test_an_export_is_cancelled_by_its_id(stack: LocalStack, tmp_path: Path) -> None:
    job = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": "demo"})
    async with export_bench(stack, tmp_path) as bench:
        record = job_record(job, bench.settings.runs / "demo/", status="succeeded")
        await show_job(bench.aws.table, record, 1)
        best = ("--model-s3-uri", "s3://bucket/runs/demo/succeed/")
        sent = cli(stack, "submit", "export", "demo", *best).stdout
        export_id = sent.split()[2]
        assert cli(stack, "cancel", export_id).stdout == f"export {export_id} (PENDING) is cancelled\n"
        [result] = await bench.results()
        assert (result["export_id"], result["status"]) == (export_id, "FAILED")
        assert "ancelled" in result["error_message"]
        assert cli(stack, "cancel", export_id).stdout == (
            f"export {export_id} (FAILED) has ended already; nothing to cancel\n"
        )


async def test_a_job_that_has_ended_is_not_cancelled_and_gets_no_lease(
    stack: LocalStack, tmp_path: Path
) -> None:
    job = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": "old"})
    async with training_bench(stack, tmp_path) as bench:
        record = job_record(job, bench.settings.runs / "old/", status="succeeded")
        await show_job(bench.aws.table, record, 1)
        answer = cli(stack, "cancel", "old")
        assert (answer.returncode, answer.stdout) == (
            0,
            f"old (job {job.job_id}, succeeded) has ended already; nothing to cancel\n",
        )
        assert await bench.aws.table.get_lease(job.job_id, kind="train") is None
