"""Requests of one training, its lease, and the wait until its child runs."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.work import Bench

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"


def body(script: str = "succeed", **fields: Any) -> dict[str, Any]:
    tags = {"script": script, **fields.pop("tags", {})}
    return {"job_id": JOB_ID, "job_name": "demo", "tags": tags, **fields}


async def lease_of(bench: Bench, job_id: str = JOB_ID) -> Any:
    return await bench.aws.table.get_lease(job_id, kind="train")


async def until_running(bench: Bench) -> None:
    """Wait until the child has been started (its work folder is there)."""
    for _ in range(500):
        if any(bench.settings.work_dir.glob("attempts/*/job.json")):
            await asyncio.sleep(0.5)
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the child did not start")
