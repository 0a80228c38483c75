"""`jobs`: the newest jobs, one line each."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal, get_args

import typer

Status = Literal["pending", "running", "succeeded", "failed", "cancelled", "interrupted"]


def jobs(
    status: Annotated[Status | None, typer.Option(help="Only jobs of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 20,
) -> None:
    """List jobs, newest first."""
    from layoutlm_cli.console import score, table  # noqa: PLC0415
    from receipt_dynamo.entities import Job  # noqa: PLC0415
    from run_analysis.runs import RunSummary  # noqa: PLC0415
    from workers.aws_clients import open_aws  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    async def fetch() -> list[Job]:
        async with open_aws(Settings.from_environ()) as aws:
            return (await aws.table.list_newest_jobs((status,) if status else get_args(Status), limit)).items

    found = [RunSummary.of(job) for job in asyncio.run(fetch())]
    table(
        f"{len(found)} jobs",
        ("name", "status", "best F1", "attempt", "created", "job id"),
        [
            (
                run.name,
                run.status,
                score(run.best_f1),
                run.attempt,
                run.created_at[:19],
                run.job_id,
            )
            for run in found
        ],
    )
