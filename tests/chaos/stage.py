"""One job's own table and queues, and what lies in them when everything is over."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from aiobotocore.session import get_session

from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.entities import CoreMLExport, Job, JobLease, JobStatus, Record
from receipt_dynamo.table import table_definition
from workers.aws_clients import Aws
from workers.local_aws.local_stack import CREDENTIALS, REGION
from workers.settings import Settings
from workers.sqs.queue import JobQueue

KindName = Literal["train", "export"]

ROLES: dict[KindName, dict[str, str]] = {
    "train": {
        "jobs": "TRAIN_JOB_QUEUE_URL",
        "results": "TRAIN_RESULTS_QUEUE_URL",
        "exports": "COREML_EXPORT_JOB_QUEUE_URL",
    },
    "export": {"jobs": "COREML_EXPORT_JOB_QUEUE_URL", "results": "COREML_EXPORT_RESULTS_QUEUE_URL"},
}
"""The queues of each daemon, by what they are for and by the variable that names them."""

_IDS = ("owner_id", "job_id", "export_id")
LOOK_SECONDS = 0.1
BUCKET = "bucket"
_BATCH = 10
_ACCOUNT = "123456789012"
_RECORDS: tuple[type[Record], ...] = (CoreMLExport, Job, JobLease, JobStatus)


@dataclass(frozen=True, slots=True)
class Clients:
    """Open clients of one emulator, for any number of stages in it."""

    endpoint_url: str
    dynamodb: Any
    sqs: Any


@asynccontextmanager
async def open_clients(endpoint_url: str) -> AsyncIterator[Clients]:
    """Open clients of the emulator there."""
    session = get_session()

    def client(service: Literal["dynamodb", "sqs", "s3"]) -> Any:
        return session.create_client(service, region_name=REGION, endpoint_url=endpoint_url)

    async with client("dynamodb") as dynamodb, client("sqs") as sqs, client("s3") as s3:
        await s3.create_bucket(Bucket=BUCKET)
        yield Clients(endpoint_url, dynamodb, sqs)


@dataclass(frozen=True, slots=True)
class Stage:
    """Fresh resources in an emulator.

    Attributes:
        kind: whose queues there are.
        environ: the settings that reach them.
        clients: for whoever looks on.
        table: the table.
    """

    kind: KindName
    environ: dict[str, str]
    clients: Clients
    table: AsyncDynamoClient

    @classmethod
    async def make(cls, kind: KindName, clients: Clients, folder: Path, **environ: str) -> Self:
        """Make them, with a folder for the workers' files and settings on top of those that lead here."""
        suffix = uuid.uuid4().hex[:10]
        urls = {role: f"{clients.endpoint_url}/{_ACCOUNT}/{role}-{suffix}" for role in (*ROLES[kind], "dead")}
        table = AsyncDynamoClient(f"table-{suffix}", clients.dynamodb)
        await asyncio.gather(
            clients.dynamodb.create_table(**table_definition(table.table_name)),
            _make_queues(clients.sqs, ROLES[kind], suffix),
        )
        named = {
            "AWS_ENDPOINT_URL": clients.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **CREDENTIALS,
            "DYNAMO_TABLE_NAME": table.table_name,
            "LAYOUTLM_TRAINING_BUCKET": BUCKET,
            "LAYOUTLM_WORK_DIR": str(folder / suffix),
            "LAYOUTLM_RUN_DIR": str(folder / "run"),
            **{variable: urls[role] for role, variable in ROLES[kind].items()},
        }
        return cls(kind, {**named, **environ}, clients, table)

    @property
    def settings(self) -> Settings:
        """The settings that reach it."""
        return Settings.from_environ(self.environ)

    def url(self, role: str) -> str:
        """The URL of a queue."""
        if role == "dead":
            return self.url("jobs").replace("/jobs-", "/dead-")
        return self.environ[ROLES[self.kind][role]]

    @property
    def aws(self) -> Aws:
        """The clients that a worker has."""
        return Aws(self.table, self.clients.sqs)

    @property
    def queue(self) -> JobQueue:
        """The queue that workers take jobs from."""
        return JobQueue(self.clients.sqs, self.url("jobs"), self.url("dead"))

    async def send(self, body: str) -> None:
        """Send a job."""
        await self.clients.sqs.send_message(QueueUrl=self.url("jobs"), MessageBody=body)

    async def waiting(self, role: str = "jobs") -> int:
        """How many messages a queue holds, invisible ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.clients.sqs.get_queue_attributes(QueueUrl=self.url(role), AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    async def is_over(self, *owner_ids: str) -> bool:
        """Whether nothing is left to do for these jobs: no message, and no lease that is open."""
        if await self.waiting():
            return False
        leases = [await self.table.get_lease(owner_id, kind=self.kind) for owner_id in owner_ids]
        return all(lease is None or lease.state == "closed" for lease in leases)

    async def wait_until_over(self, *owner_ids: str, within_seconds: float = 60) -> None:
        """Wait for that; nobody tells, so look now and then."""
        async with asyncio.timeout(within_seconds):
            while not await self.is_over(*owner_ids):  # noqa: ASYNC110 - the table has no events
                await asyncio.sleep(LOOK_SECONDS)

    async def read(self) -> Remains:
        """What lies in table and queues; the results and other outgoing messages are taken out."""
        scanned = await self.items()
        kinds = {kind.TYPE: kind for kind in _RECORDS}
        remains = Remains(jobs_waiting=await self.waiting())
        remains.records = [
            kinds[item["TYPE"]["S"]].from_item(item) for item in scanned if item["TYPE"]["S"] in kinds
        ]
        for role in (*ROLES[self.kind], "dead"):
            if role != "jobs":
                remains.sent[role] = await self._take_all(role)
        return remains

    async def items(self) -> list[dict[str, Any]]:
        """All that the table holds."""
        pages = self.clients.dynamodb.get_paginator("scan").paginate(TableName=self.table.table_name)
        return [item async for page in pages for item in page["Items"]]

    async def _take_all(self, role: str) -> list[str]:
        bodies: list[str] = []
        while len(batch := await self._take_some(role)) == _BATCH:
            bodies += batch
        return bodies + batch

    async def _take_some(self, role: str) -> list[str]:
        answer = await self.clients.sqs.receive_message(
            QueueUrl=self.url(role), MaxNumberOfMessages=_BATCH, WaitTimeSeconds=0
        )
        return [message["Body"] for message in answer.get("Messages", ())]


@dataclass(slots=True)
class Remains:
    """What is left when nobody works any more.

    Attributes:
        jobs_waiting: messages in the job queue.
        records: what the table holds of jobs, exports, leases and status lines.
        sent: the bodies that other queues hold.
    """

    jobs_waiting: int
    records: list[Record] = field(default_factory=list)
    sent: dict[str, list[str]] = field(default_factory=dict)

    def of(self, kind: type[Any]) -> list[Any]:
        """The records of a kind."""
        return [record for record in self.records if isinstance(record, kind)]

    def only(self, *ids: str) -> Remains:
        """What concerns one job: the job's id and that of its export."""
        records = [
            record for record in self.records if any(getattr(record, name, None) in ids for name in _IDS)
        ]
        sent = {
            role: [body for body in bodies if any(owner_id in body for owner_id in ids)]
            for role, bodies in self.sent.items()
        }
        return Remains(self.jobs_waiting, records, sent)

    def bodies(self, role: str) -> list[dict[str, Any]]:
        """The messages of a queue, parsed."""
        return [json.loads(body) for body in self.sent.get(role, ())]


async def _make_queues(sqs: Any, roles: dict[str, str], suffix: str) -> None:
    await sqs.create_queue(QueueName=f"dead-{suffix}")
    redrive = {
        "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{_ACCOUNT}:dead-{suffix}",
        "maxReceiveCount": 1000,
    }
    for role in roles:
        attributes = {"RedrivePolicy": json.dumps(redrive)} if role == "jobs" else {}
        await sqs.create_queue(QueueName=f"{role}-{suffix}", Attributes=attributes)
