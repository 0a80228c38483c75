"""The pages of queues and workers: counts without taking anything, looks on demand, and who holds what."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from receipt_dynamo.clock import now, write_time
from receipt_dynamo.entities import Job
from tests.support.served import Dashboard, Start, texts
from tests.support.work import export_bench
from workers.local_aws.local_stack import LocalStack

HOSTILE = "<script>alert(1)</script>"


async def bury(stack: LocalStack, tmp_path: Path, *bodies: str) -> None:
    """Have a worker refuse messages."""
    async with export_bench(stack, tmp_path) as bench:
        for body in bodies:
            await bench.send(body)
            await bench.work_once()


def hold_lease(dashboard: Dashboard, owner: str, kind: Any, body: object, minutes: int) -> Any:
    return dashboard.client.claim_lease(
        owner,
        kind=kind,
        claim_id=str(uuid.uuid4()),
        worker=f"host-{minutes}",
        now=now(),
        expires_at=write_time(datetime.now(UTC) + timedelta(minutes=minutes)),
        body=body if isinstance(body, str) else json.dumps(body),
    )


def row_of(page: str, name: str) -> str:
    [row] = [row for row in page.split("<tr>") if f'<th scope="row">{name}\n' in row]
    return texts(row)


async def test_the_queues_page_counts_and_takes_nothing(
    stack: LocalStack, start: Start, tmp_path: Path
) -> None:
    await bury(stack, tmp_path, HOSTILE)
    sqs = stack.client("sqs")
    url = stack.environ["TRAIN_JOB_QUEUE_URL"]
    for delay in (0, 0, 60):
        sqs.send_message(QueueUrl=url, MessageBody="{}", DelaySeconds=delay)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=60)
    dashboard = start()
    for _ in range(3):
        page = dashboard.get("/queues").text
    train, export = row_of(page, "train"), row_of(page, "export")
    assert train.split(url)[1].split() == ["1", "1", "1", "unknown", "·", "look", "none"]
    assert export.endswith("none waits 1 show with reasons")
    [message] = sqs.receive_message(
        QueueUrl=url, MessageSystemAttributeNames=["ApproximateReceiveCount"], WaitTimeSeconds=1
    )["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_dead_letters_show_their_reasons_and_stay(
    stack: LocalStack, start: Start, tmp_path: Path
) -> None:
    await bury(stack, tmp_path, HOSTILE, json.dumps({"export_id": "no uuid", "quantize": "int2"}))
    dashboard = start()
    for _ in range(2):
        page = dashboard.get("/queues/export/letters").text
        seen = texts(page)
        assert "2 found" in seen
        assert "quantize" in seen
        assert "body: is not JSON" in seen
        assert "worker bench" in seen
        assert HOSTILE not in page
        assert "&lt;script&gt;alert(1)" in page
    assert dashboard.get("/queues/nothing/letters").status == 404


def test_no_look_is_offered_at_results_which_few_receives_put_away(stack: LocalStack, start: Start) -> None:
    for variable in ("TRAIN_JOB_QUEUE_URL", "TRAIN_RESULTS_QUEUE_URL"):
        stack.client("sqs").send_message(QueueUrl=stack.environ[variable], MessageBody="{}")
    page = start().get("/queues").text
    assert 'href="/queues/train/oldest"' in page
    assert "/queues/train-results/oldest" not in page


def test_a_look_tells_when_the_oldest_was_sent(stack: LocalStack, start: Start) -> None:
    dashboard = start()
    assert "found no visible message" in texts(dashboard.get("/queues/train/oldest").text)
    stack.client("sqs").send_message(QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody="{}")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for _ in range(2):
        assert f"the oldest was sent at {today}" in texts(dashboard.get("/queues/train/oldest").text)


def test_a_queue_that_is_not_set_names_its_variable(start: Start) -> None:
    page = start(export_job_queue_url=None).get("/queues").text
    assert "COREML_EXPORT_JOB_QUEUE_URL names this queue" in row_of(page, "export")


def test_leases_show_who_works_on_what_and_which_have_run_out(start: Start, run_dir: Path) -> None:
    dashboard = start(run_dir=run_dir)
    ids = [str(uuid.uuid4()) for _ in range(12)]
    for number, job_id in enumerate(ids):
        dashboard.client.add_job(
            Job(
                job_id=job_id,
                name=f"held-{number}",
                description="",
                created_at=now(),
                created_by="a test",
                status="running",
                priority="low",
                job_config={},
            )
        )
        lease = hold_lease(dashboard, job_id, "train", "no JSON", 30 + number)
    progress: Any = {"attempt": 1, "at": now(), "stage": "training", "message": HOSTILE, "metrics": {}}
    progress |= {"epoch": 2.5, "step": 70, "total_steps": 480}
    dashboard.client.renew_lease(lease, expires_at=lease.expires_at, progress=progress)
    hold_lease(dashboard, str(uuid.uuid4()), "export", {"job_id": ids[0]}, -5)
    before = dashboard.client.request_count
    page = dashboard.get("/workers").text
    assert dashboard.client.request_count - before == 3
    seen = texts(page)
    assert all(f"held-{number} train host-{30 + number} 1" in seen for number in range(12))
    assert "training, epoch 2.50, step 70 of 480" in seen
    assert "held-0 export host--5 1" in seen
    assert seen.count(" expired ") == 1
    assert HOSTILE not in page
    assert f"None answers in {run_dir}" in seen
