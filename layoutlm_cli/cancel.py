"""`cancel JOB`: ask whoever runs a job, or will, to end it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer


def cancel(job: Annotated[str, typer.Argument(help="Id or name of the job.")]) -> None:
    """Cancel a job: a running one within a heartbeat, a waiting one when a worker takes it."""
    from receipt_dynamo.errors import ConditionFailed  # noqa: PLC0415
    from workers.aws import open_aws  # noqa: PLC0415
    from workers.find import find_job  # noqa: PLC0415
    from workers.lease import timestamp  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    async def ask() -> str:
        async with open_aws(Settings.from_environ()) as aws:
            record = await find_job(aws.table, job)
            try:
                await aws.table.request_cancel(record.job_id, kind="train", now=timestamp())
            except ConditionFailed:
                return f"{record.name} has ended already ({record.status}); nothing to cancel"
            return f"{record.name} ({record.status}) will be cancelled"

    typer.echo(asyncio.run(ask()))
