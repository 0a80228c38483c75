"""Records that two writers make at once."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from messages.train import TrainJob
from receipt_dynamo.clock import now
from receipt_dynamo.entities import Job, JobStatus
from receipt_dynamo.errors import AlreadyExists, NotFound
from workers.jobs.job_record import add_status, job_record, show_job
from workers.settings import Settings

SETTINGS = Settings.from_environ({"LAYOUTLM_TRAINING_BUCKET": "bucket"})


class Table:
    """A table in memory with one job, which may come into being between two looks."""

    def __init__(self, job: Job, *, appears_late: bool = False) -> None:
        self.job = job
        self.hidden = appears_late
        self.updates: list[tuple[str, int]] = []

    async def update_job_status(self, job_id: str, status: str, *, attempt: int, **_: object) -> None:
        if self.hidden:
            raise NotFound(job_id)
        self.updates.append((status, attempt))

    async def add_job(self, _job: Job) -> None:
        self.hidden = False
        raise AlreadyExists("made meanwhile")

    async def add_job_status(self, _note: JobStatus) -> None:
        raise AlreadyExists("there already")


@pytest.fixture
def job() -> Job:
    request = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": str(uuid.uuid4())})
    return job_record(request, SETTINGS.runs / "x/", status="running")


async def test_a_record_that_another_writer_makes_meanwhile_is_updated(job: Job) -> None:
    table: Any = Table(job, appears_late=True)
    await show_job(table, job, 3)
    assert table.updates == [("running", 3)]


async def test_a_status_line_that_is_there_already_is_no_error(job: Job) -> None:
    table: Any = Table(job)
    note = JobStatus(job_id=job.job_id, status="running", updated_at=now())
    await add_status(table, note)
