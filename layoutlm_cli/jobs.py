"""`jobs`: the newest jobs, one line each."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer

Status = Literal["pending", "running", "succeeded", "failed", "cancelled", "interrupted"]


def jobs(
    status: Annotated[Status | None, typer.Option(help="Only jobs of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 20,
) -> None:
    """List jobs, newest first."""
    from layoutlm_cli.console import score, table  # noqa: PLC0415
    from receipt_dynamo.entities import Job  # noqa: PLC0415
    from workers.aws import open_aws  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    async def fetch() -> list[Job]:
        async with open_aws(Settings.from_environ()) as aws:
            found = await (aws.table.list_jobs_by_status(status) if status else aws.table.list_jobs())
            return list(found.items)

    found = sorted(asyncio.run(fetch()), key=lambda job: job.created_at, reverse=True)[:limit]
    table(
        f"{len(found)} jobs",
        ("name", "status", "best F1", "attempt", "created", "job id"),
        [
            (
                job.name,
                job.status,
                score(job.results.get("best_f1")),
                job.attempt,
                job.created_at[:19],
                job.job_id,
            )
            for job in found
        ],
    )
