"""The simulated table answers as an emulator does: the same operations, the same answers, the same items."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.entities import CoreMLExport, Job, JobLease, JobMetric, JobStatus, RunName
from receipt_dynamo.entities.field_types import JobState, LeaseState
from receipt_dynamo.errors import ConditionFailed, DynamoError
from receipt_dynamo.operations.leases import LeaseRefused
from tests.simulation.network import Client
from tests.simulation.table import Table
from workers.aws_clients import open_aws
from workers.local_aws.local_stack import LocalStack

OPERATIONS = 80
IDS = [str(uuid.UUID(int=number, version=4)) for number in (1, 2)]
MOMENTS = [f"2026-01-01T00:0{minute}:00.000000+00:00" for minute in range(6)]
STATES: tuple[LeaseState, ...] = ("free", "held", "decided", "closed")
STATUSES: tuple[JobState, ...] = ("pending", "running", "succeeded", "failed", "interrupted")
FAILURE = {"attempt": 1, "error_class": "disk", "message": "full", "at": MOMENTS[0], "worker": "a"}


@dataclass
class Pair:
    """The same client over the simulated table and over the emulator's.

    Attributes:
        leases: every lease that an operation has returned.
    """

    simulated: AsyncDynamoClient
    emulated: AsyncDynamoClient
    draw: random.Random
    leases: list[JobLease] = field(default_factory=list)

    async def do(self, name: str, *args: Any, **options: Any) -> None:
        """Do one operation on both and compare what comes of it."""
        ours, theirs = [
            await outcome(getattr(client, name), *args, **options)
            for client in (self.simulated, self.emulated)
        ]
        assert ours == theirs, f"{name} {args} {options}"
        if isinstance(ours, JobLease):
            self.leases.append(ours)

    def lease(self) -> JobLease:
        """One that somebody has seen, most often lately; it may be long out of date."""
        return self.draw.choice([*self.leases, *self.leases[-3:]])


async def outcome(operation: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What an operation returns, in an order that does not matter where the table promises none."""
    try:
        answer = await operation(*args, **options)
    except LeaseRefused as error:
        return "refused", error.lease
    except ConditionFailed as error:
        return type(error), error.item
    except DynamoError as error:
        return type(error)
    return sorted(map(repr, answer.items)) if hasattr(answer, "items") else answer


async def change_leases(pair: Pair) -> None:
    draw = pair.draw
    owner_id, kind, now, later = (
        draw.choice(IDS),
        draw.choice(["train", "export"]),
        *draw.sample(MOMENTS, 2),
    )
    await pair.do(
        "claim_lease",
        owner_id,
        kind=kind,
        claim_id=draw.choice(["x", "y"]),
        worker=draw.choice("ab"),
        now=now,
        expires_at=later,
        body=draw.choice(["{}", "[]"]),
    )
    if not pair.leases:
        return
    seen = pair.lease()
    match draw.randrange(8):
        case 0 | 1:
            await pair.do("renew_lease", seen, expires_at=later)
        case 2:
            await pair.do("release_lease", seen, due_at=later, failure=draw.choice([None, FAILURE]))
        case 3:
            await pair.do("postpone_lease", seen, due_at=later)
        case 4:
            decision = {"result": "{}", "results": {"best_f1": 0.5, "n": 3, "none": None}}
            await pair.do("decide_lease", seen, outcome="failed", decision=decision, now=now)
        case 5:
            await pair.do("close_lease", seen)
        case 6:
            await pair.do("request_cancel", owner_id, kind=kind, now=now)
        case 7:
            await pair.do("offer_lease", owner_id, kind="train", body="{}", due_at=now)


async def look_at_leases(pair: Pair) -> None:
    draw = pair.draw
    await pair.do("get_lease", draw.choice(IDS), kind="train")
    await pair.do("list_leases", "train", draw.choice(STATES), before=draw.choice(MOMENTS))


async def claim_names(pair: Pair) -> None:
    wanted = RunName(name=pair.draw.choice("nm"), job_id=pair.draw.choice(IDS), claimed_at=MOMENTS[0])
    await pair.do("claim_run_name", wanted, former=pair.draw.choice([None, *IDS]))


def job(draw: random.Random) -> Job:
    return Job(
        job_id=draw.choice(IDS),
        name=draw.choice("nm"),
        description="",
        created_at=draw.choice(MOMENTS),
        created_by="t",
        status="pending",
        priority="low",
        job_config={"epochs": 1},
        results=draw.choice([{}, {"before": 1}]),
    )


async def change_jobs(pair: Pair) -> None:
    draw = pair.draw
    job_id, attempt = draw.choice(IDS), draw.choice([None, 1, 2, 3])
    results = draw.choice([None, {}, {"best_f1": 0.25}, {"epochs": [1, 2]}])
    match draw.randrange(6):
        case 0:
            await pair.do("add_job", job(draw))
        case 1:
            await pair.do("update_job", replace(job(draw), tags={"a": "b"}))
        case 2 | 3:
            attributes = draw.choice([None, {"error_message": "no"}, {"storage": {"bucket": "b"}}])
            status = draw.choice(STATUSES)
            await pair.do(
                "update_job_status", job_id, status, attempt=attempt, attributes=attributes, results=results
            )
        case 4:
            await pair.do("merge_job_results", job_id, results or {}, attempt=attempt)
        case 5:
            await pair.do("delete_job", job(draw))


async def look_at_jobs(pair: Pair) -> None:
    draw = pair.draw
    await pair.do("get_job", draw.choice(IDS))
    await pair.do("get_job_by_name", draw.choice("nm"))
    await pair.do("list_jobs")
    await pair.do("list_jobs_by_status", draw.choice(STATUSES), draw.choice([None, 1]))
    await pair.do("get_latest_job_by_status", draw.choice(STATUSES))


async def change_what_belongs_to_jobs(pair: Pair) -> None:
    draw = pair.draw
    job_id, export_id = draw.choice(IDS), draw.choice(IDS)
    note = JobStatus(job_id=job_id, status=draw.choice(STATUSES), updated_at=draw.choice(MOMENTS))
    await pair.do("add_job_status", note)
    metrics = [
        JobMetric(job_id=job_id, metric_name=name, timestamp=draw.choice(MOMENTS), value=0.5)
        for name in ("f1", "loss")
    ]
    await pair.do("add_job_metrics", metrics)
    await pair.do("list_job_metrics", job_id, "f1")
    export = CoreMLExport(
        export_id=export_id,
        job_id=job_id,
        model_s3_uri="s3://b/m/",
        quantize=None,
        output_s3_prefix="s3://b/o/",
        status="PENDING",
        created_at=MOMENTS[0],
        updated_at=MOMENTS[0],
    )
    await pair.do("add_coreml_export_job", export)
    attributes = {"updated_at": draw.choice(MOMENTS)}
    status, attempt = draw.choice(["RUNNING", "FAILED"]), draw.choice([None, 1, 2])
    await pair.do("update_coreml_export_status", export_id, status, attempt=attempt, attributes=attributes)
    await pair.do("get_coreml_export_jobs_for_job", job_id)
    await pair.do("get_coreml_export_jobs_by_status", status)


DEEDS = (
    *[change_leases] * 4,
    look_at_leases,
    claim_names,
    *[change_jobs] * 3,
    look_at_jobs,
    change_what_belongs_to_jobs,
)


@pytest.fixture
async def emulated(stack: LocalStack) -> AsyncIterator[AsyncDynamoClient]:
    async with open_aws(stack.settings) as aws:
        yield aws.table


@pytest.mark.parametrize("seed", range(5))
async def test_simulated_and_emulated_table_agree(
    emulated: AsyncDynamoClient, stack: LocalStack, seed: int
) -> None:
    table = Table()

    async def ask(call: str, arguments: dict[str, Any]) -> Any:
        return table.answer("test", call, arguments)

    simulated: Any = Client(ask)
    pair = Pair(AsyncDynamoClient(emulated.table_name, simulated), emulated, random.Random(seed))
    for _ in range(OPERATIONS):
        await pair.draw.choice(DEEDS)(pair)
    theirs = stack.client("dynamodb").scan(TableName=emulated.table_name)["Items"]
    assert sorted(map(repr, map(in_order, table.items.values()))) == sorted(map(repr, map(in_order, theirs)))


def in_order(value: Any) -> Any:
    """The same value with every map's names sorted: their order says nothing."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value)}
    return [in_order(one) for one in value] if isinstance(value, list) else value
