"""Runs in progress: position, speed, estimated end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from pydantic import Field

from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import read_time
from receipt_dynamo.entities import Job, JobLease
from receipt_dynamo.entities.field_types import JobState
from run_analysis.job_records import LogFacts, epochs_of_metrics
from run_analysis.run import read_last_logs
from run_analysis.runs import RunSummary
from run_records.epoch_record import EpochFacts
from run_records.lenient_model import LenientModel

UNDER_WAY: tuple[JobState, ...] = ("running", "interrupted", "pending")
_LOGS = 5


class Where(LenientModel):
    """Where the work was when the worker last renewed its lease; None where that does not apply."""

    at: str
    stage: str
    message: str = ""
    epoch: float | None = None
    step: int | None = None
    total_steps: int | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class ActiveRun(LenientModel):
    """One run that has not ended.

    Attributes:
        run: its summary.
        worker: who holds it; None while nobody does.
        attempt: of that worker, or the last one.
        lease_until: until when it is theirs without another sign of life.
        cancel_requested_at: when somebody asked for it to stop.
        where: the child's last word in this attempt.
        epochs_asked: how many the request asks for.
        epochs: evaluations so far.
        seconds_left: estimate for what is left of the asked epochs, from the pace of the last ones.
        logs: the last lines.
    """

    run: RunSummary
    worker: str | None = None
    attempt: int | None = None
    lease_until: str | None = None
    cancel_requested_at: str | None = None
    where: Where | None = None
    epochs_asked: int | None = None
    epochs: tuple[EpochFacts, ...] = ()
    seconds_left: float | None = None
    logs: tuple[LogFacts, ...] = ()

    @property
    def last(self) -> EpochFacts | None:
        """The last evaluation."""
        return self.epochs[-1] if self.epochs else None

    @property
    def epochs_done(self) -> float | None:
        """Passes over the data so far, with the one under way as far as the worker has told."""
        told = (self.where.epoch if self.where else None, self.last.epoch if self.last else None)
        return max((epoch for epoch in told if epoch is not None), default=None)


class ActiveRuns(LenientModel):
    """Runs that have not ended, the newest first."""

    runs: tuple[ActiveRun, ...]


def list_active_runs(client: DynamoClient, limit: int = 50) -> tuple[ActiveRun, ...]:
    """Read the runs that have not ended, the newest first; three queries, and three more a run.

    Args:
        client: the table.
        limit: so many at most.
    """
    return tuple(read_active_run(client, job) for job in client.list_newest_jobs(UNDER_WAY, limit).items)


def read_active_run(client: DynamoClient, job: Job) -> ActiveRun:
    """Read the present state of one job."""
    run = RunSummary.of(job)
    lease = client.find_lease(job.job_id, kind="train")
    epochs = epochs_of_metrics(client.list_job_metrics(job.job_id).items)
    asked = run.config.get("epochs")
    epochs_asked = int(asked) if isinstance(asked, int | float) else None
    where = _where(lease)
    held = lease is not None and lease.state == "held"
    return ActiveRun(
        run=run,
        worker=lease.worker if lease and held else None,
        attempt=lease.attempt if lease else job.attempt,
        lease_until=lease.expires_at if lease and held else None,
        cancel_requested_at=lease.cancel_requested_at if lease else None,
        where=where if held else None,
        epochs_asked=epochs_asked,
        epochs=epochs,
        seconds_left=estimate_seconds_left(epochs, epochs_asked, where),
        logs=read_last_logs(client, job.job_id, _LOGS),
    )


def estimate_seconds_left(
    epochs: Sequence[EpochFacts], asked: int | None, where: Where | None
) -> float | None:
    """Estimate the seconds of the remaining epochs from the median duration of the finished ones.

    Returns None before the second evaluation: no duration is known yet. Gaps without a worker are far from
    the median. Early stopping may end the run before.
    """
    # Evaluations within an epoch share its number: the first of each tells when it was reached.
    firsts = {one.epoch: one for one in reversed(epochs) if one.recorded_at}
    times = [(epoch, read_time(str(one.recorded_at))) for epoch, one in sorted(firsts.items())]
    if asked is None or len(times) < 2:  # noqa: PLR2004 - a pace takes two points
        return None
    paces = [
        (later - sooner).total_seconds() / (to - since)
        for (since, sooner), (to, later) in pairwise(times)
        if to > since
    ]
    done = max(times[-1][0], (where.epoch if where else None) or 0.0)
    return max(asked - done, 0.0) * median(paces) if paces else None


def _where(lease: JobLease | None) -> Where | None:
    progress: Any = lease.progress if lease else None
    # An earlier attempt's last word stands there until this one's first renewal.
    if lease is None or progress is None or progress["attempt"] != lease.attempt:
        return None
    return Where.model_validate(progress)
