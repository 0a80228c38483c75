"""Finding jobs and what lies beside them, through both clients."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from receipt_dynamo.entities import Job, JobCheckpoint, JobLog, JobStatus, RunName
from receipt_dynamo.errors import NotFound
from tests.integration.receipt_dynamo.test_dynamo_jobs import JOB_ID, a_job, a_metric, minute


def some_jobs(dynamo: Any, *statuses: str) -> list[Job]:
    """One job a status, each a minute older than the one before it."""
    jobs = [
        a_job(job_id=str(uuid.uuid4()), name=f"job-{place}", status=status, created_at=minute(59 - place))
        for place, status in enumerate(statuses)
    ]
    for job in reversed(jobs):
        dynamo.add_job(job)
        dynamo.add_job_status(JobStatus(job_id=job.job_id, status=job.status, updated_at=minute(1)))
    return jobs


def test_a_job_is_found_by_id_by_name_and_by_a_name_that_looks_like_an_id(dynamo: Any) -> None:
    job = a_job(name=str(uuid.uuid4()))
    dynamo.add_job(job)
    assert dynamo.find_job(JOB_ID) == job
    assert dynamo.find_job(job.name) == job
    for nobody in ("nobody", str(uuid.uuid4())):
        with pytest.raises(NotFound, match="layoutlm-cli jobs"):
            dynamo.find_job(nobody)


def test_of_a_name_the_newest_job_is_found_or_the_newest_that_has_a_model(dynamo: Any) -> None:
    refused = a_job(job_id=str(uuid.uuid4()), status="failed", created_at=minute(9))
    trained = a_job(status="succeeded", created_at=minute(3))
    dynamo.add_job(refused)
    dynamo.add_job(trained)
    assert dynamo.find_job("demo") == refused
    assert dynamo.find_job("demo", prefer_succeeded=True) == trained


def own_name(dynamo: Any, job: Job) -> None:
    dynamo.claim_run_name(RunName(name=job.name, job_id=job.job_id, claimed_at=minute(1)))


@pytest.mark.parametrize("status", ["running", "succeeded", "interrupted"])
def test_a_later_job_that_was_refused_does_not_hide_the_one_that_has_the_name(
    dynamo: Any, status: str
) -> None:
    owner = a_job(status=status, created_at=minute(3))
    refused = a_job(job_id=str(uuid.uuid4()), status="failed", created_at=minute(9))
    for job in (owner, refused):
        dynamo.add_job(job)
    own_name(dynamo, owner)
    assert dynamo.find_job("demo") == owner
    assert dynamo.find_job(refused.job_id) == refused


@pytest.mark.parametrize(("owner_status", "newest_status"), [("failed", "failed"), ("succeeded", "pending")])
def test_the_newest_job_is_found_where_the_owner_gave_the_name_up_or_the_newest_is_alive(
    dynamo: Any, owner_status: str, newest_status: str
) -> None:
    owner = a_job(status=owner_status, created_at=minute(3))
    newest = a_job(job_id=str(uuid.uuid4()), status=newest_status, created_at=minute(9))
    for job in (owner, newest):
        dynamo.add_job(job)
    own_name(dynamo, owner)
    assert dynamo.find_job("demo") == newest


def test_the_newest_jobs_of_some_statuses_come_in_pages(dynamo: Any) -> None:
    jobs = some_jobs(dynamo, "succeeded", "running", "succeeded", "failed", "running", "succeeded")
    wanted = ["succeeded", "running"]
    expected = [jobs[place] for place in (0, 1, 2, 4, 5)]
    assert dynamo.list_newest_jobs(wanted, None).items == expected
    assert dynamo.list_newest_jobs(wanted, 3).items == expected[:3]
    assert dynamo.list_newest_jobs(wanted, 3, before=expected[2].created_at).items == expected[3:]


def test_a_page_of_the_newest_jobs_costs_one_query_a_status(dynamo: Any) -> None:
    some_jobs(dynamo, *["succeeded", "failed"] * 4)
    before = dynamo.request_count
    assert len(dynamo.list_newest_jobs(["succeeded", "failed", "pending"], 3).items) == 3
    assert dynamo.request_count - before == 3


def test_statuses_and_checkpoints_come_oldest_first_and_without_what_lies_beside_them(dynamo: Any) -> None:
    dynamo.add_job(a_job())
    dynamo.add_job_metrics([a_metric(1)])
    statuses = [JobStatus(job_id=JOB_ID, status="running", updated_at=minute(n)) for n in (1, 2)]
    checkpoints = [
        JobCheckpoint(
            job_id=JOB_ID,
            timestamp=minute(n),
            s3_bucket="b",
            s3_key=f"runs/demo/checkpoints/checkpoint-{n}/",
            size_bytes=7,
            step=n,
            epoch=n,
        )
        for n in (1, 2)
    ]
    for late, early in zip(statuses[::-1], checkpoints[::-1], strict=True):
        dynamo.add_job_status(late)
        dynamo.add_job_checkpoint(early)
    assert dynamo.list_job_statuses(JOB_ID).items == statuses
    assert dynamo.list_job_checkpoints(JOB_ID).items == checkpoints


def test_the_last_lines_of_a_log_are_read_without_the_first(dynamo: Any) -> None:
    lines = [
        JobLog(job_id=JOB_ID, timestamp=minute(n), log_level="INFO", message=f"line {n}") for n in range(5)
    ]
    for line in lines:
        dynamo.add_job_log(line)
    before = dynamo.request_count
    assert dynamo.list_last_job_logs(JOB_ID, 2).items == lines[-2:]
    assert dynamo.request_count - before == 1
