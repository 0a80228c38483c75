"""The dashboard's actions when allowed: each is requested, confirmed, done once, and reported."""

from __future__ import annotations

import json
import re
import uuid
from html import unescape
from pathlib import Path
from typing import Any

from messages.codec import decode_train_job
from receipt_dynamo.clock import now
from receipt_dynamo.entities import Job
from tests.support.served import Answer, Dashboard, Start, texts
from tests.support.work import export_bench
from workers.local_aws.local_stack import LocalStack


def add_job(dashboard: Dashboard, status: Any = "pending") -> str:
    job_id = str(uuid.uuid4())
    job = Job(
        job_id=job_id,
        name="wanted",
        description="",
        created_at=now(),
        created_by="a test",
        status=status,
        priority="low",
        job_config={},
    )
    dashboard.client.add_job(job)
    return job_id


def follow(dashboard: Dashboard, answer: Answer) -> str:
    assert answer.status == 303, answer.text
    return dashboard.get(answer.headers["location"]).text


def messages(stack: LocalStack, variable: str) -> list[dict[str, Any]]:
    found = stack.client("sqs").receive_message(
        QueueUrl=stack.environ[variable], WaitTimeSeconds=1, MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return list(found.get("Messages", ()))


def hidden_fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


def test_a_job_is_cancelled_after_it_was_confirmed(start: Start) -> None:
    dashboard = start(allow_actions=True)
    job_id = add_job(dashboard)
    dashboard.client.offer_lease(job_id, kind="train", body="{}", due_at=now())
    assert f"/runs/{job_id}/cancel" in dashboard.get(f"/runs/{job_id}").text
    question = dashboard.get(f"/runs/{job_id}/cancel").text
    assert "Cancel wanted?" in texts(question)
    lease = dashboard.client.get_lease(job_id, kind="train")
    assert lease is not None
    assert lease.cancel_requested_at is None
    page = follow(dashboard, dashboard.post(f"/runs/{job_id}/cancel", hidden_fields(question)))
    assert f"wanted (job {job_id}, pending) will be cancelled" in texts(page)
    assert "It was asked to end" in texts(page)
    lease = dashboard.client.get_lease(job_id, kind="train")
    assert lease is not None
    assert lease.cancel_requested_at is not None


def test_a_job_that_has_ended_has_no_cancel_and_says_so_when_asked_all_the_same(start: Start) -> None:
    dashboard = start(allow_actions=True)
    job_id = add_job(dashboard, "succeeded")
    assert f"/runs/{job_id}/cancel" not in dashboard.get(f"/runs/{job_id}").text
    assert "has ended already" in follow(dashboard, dashboard.post(f"/runs/{job_id}/cancel"))


def test_what_was_done_is_said_once(start: Start) -> None:
    dashboard = start(allow_actions=True)
    job_id = add_job(dashboard, "failed")
    answer = dashboard.post(f"/runs/{job_id}/cancel")
    assert "nothing to cancel" in follow(dashboard, answer)
    assert "nothing to cancel" not in follow(dashboard, answer)
    assert "made up" not in dashboard.get(f"/runs/{job_id}?notice=made%20up").text.split("<main")[1]


async def bury(stack: LocalStack, tmp_path: Path, *bodies: str) -> None:
    async with export_bench(stack, tmp_path) as bench:
        for body in bodies:
            await bench.send(body)
            await bench.work_once()


async def test_a_dead_letter_goes_back_to_its_queue_or_is_deleted_and_others_stay(
    stack: LocalStack, start: Start, tmp_path: Path
) -> None:
    await bury(stack, tmp_path, "one", "two", "three")
    dashboard = start(allow_actions=True)
    page = dashboard.get("/queues/export/letters").text
    [back, gone, stays] = re.findall(r'href="/queues/export/letters/([^/"]+)/redrive"', page)
    for letter, deed, said in (
        (back, "redrive", f"Sent {back} back to export."),
        (gone, "delete", f"Deleted {gone}."),
    ):
        path = f"/queues/export/letters/{letter}/{deed}"
        question = dashboard.get(path).text
        assert letter in texts(question)
        assert said in texts(follow(dashboard, dashboard.post(path, hidden_fields(question))))
    assert len(messages(stack, "COREML_EXPORT_JOB_QUEUE_URL")) == 1
    left = dashboard.get("/queues/export/letters").text
    assert re.findall(r"<code>([0-9a-f-]{36})</code>", left) == [stays]


async def test_a_dead_letter_that_is_gone_is_said_to_be(
    stack: LocalStack, start: Start, tmp_path: Path
) -> None:
    dashboard = start(allow_actions=True)
    answer = dashboard.post(f"/queues/train/letters/{uuid.uuid4()}/delete")
    assert answer.status == 404
    assert "There is no dead letter" in answer.text
    assert dashboard.get(f"/queues/train/letters/{uuid.uuid4()}/burn").status == 404


def test_a_form_with_faults_says_each_beside_its_field_and_sends_nothing(
    stack: LocalStack, start: Start
) -> None:
    dashboard = start(allow_actions=True)
    wrong = {"job_name": "../up", "epochs": "-3", "learning_rate": "fast", "tags": "owner", "batch_size": "8"}
    answer = dashboard.post("/submit", wrong)
    assert answer.status == 422
    page = answer.text
    for name in ("job_name", "epochs", "learning_rate", "tags"):
        assert re.search(rf'id="{name}"[^>]*aria-invalid="true"', page), name
        assert f'id="{name}-fault"' in page
    assert 'id="batch_size-fault"' not in page
    assert 'value="../up"' in page
    assert 'value="8"' in page
    assert "4 fields are wrong" in texts(page)
    assert messages(stack, "TRAIN_JOB_QUEUE_URL") == []
    together = dashboard.post("/submit", {"job_name": "a", "window_stride": "300", "window_size": "200"})
    assert "window_stride must not exceed window_size" in texts(together.text)


def test_a_training_is_sent_after_its_message_was_shown_and_confirmed(
    stack: LocalStack, start: Start
) -> None:
    dashboard = start(allow_actions=True)
    form = {"job_name": "from-the-page", "epochs": "3", "merge_amounts": "true", "tags": '{"owner": "ada"}'}
    question = dashboard.post("/submit", form)
    assert question.status == 200
    assert "Send from-the-page?" in texts(question.text)
    assert messages(stack, "TRAIN_JOB_QUEUE_URL") == []
    confirmed = hidden_fields(question.text)
    page = follow(dashboard, dashboard.post("/submit/send", confirmed))
    assert "Sent from-the-page: job" in texts(page)
    [message] = messages(stack, "TRAIN_JOB_QUEUE_URL")
    job = decode_train_job(message["Body"], message_id=message["MessageId"])
    assert (job.job_name, job.hyperparameters.epochs, job.hyperparameters.merge_amounts) == (
        "from-the-page",
        3,
        True,
    )
    assert job.tags == {"owner": "ada"}
    record = dashboard.client.find_job("from-the-page")
    assert (record.job_id, record.status) == (job.job_id, "pending")


def test_a_confirmation_that_is_posted_twice_is_one_job(stack: LocalStack, start: Start) -> None:
    dashboard = start(allow_actions=True)
    confirmed = hidden_fields(dashboard.post("/submit", {"job_name": "twice"}).text)
    for _ in range(2):
        assert dashboard.post("/submit/send", confirmed).status == 303
    assert len(dashboard.client.get_job_by_name("twice").items) == 1
    assert len({json.loads(one["Body"])["job_id"] for one in messages(stack, "TRAIN_JOB_QUEUE_URL")}) == 1


def test_the_form_has_each_option_of_a_training_once(start: Start) -> None:
    from layoutlm_cli.training_options import option_help  # noqa: PLC0415

    page = start(allow_actions=True).get("/submit").text
    fields = re.findall(r'<(?:input|select) id="([a-z_0-9]+)"', page)
    assert sorted(fields) == sorted(["job_name", *option_help()])
