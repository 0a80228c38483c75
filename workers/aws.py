"""The two asyncio clients that a daemon needs, opened together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import NoRegionError

from receipt_dynamo.aio import AsyncDynamoClient
from receipt_dynamo.descriptions import share_descriptions
from workers.errors import SettingsError
from workers.settings import Settings

POLL_TIMEOUT_SECONDS = 40
"""Longer than the longest poll."""
TABLE_TIMEOUT_SECONDS = 10
"""So short that a renewal whose answer never comes can be tried again before the lease ends."""
BUCKET_TIMEOUT_SECONDS = 20

Service = Literal["dynamodb", "sqs", "s3"]
_PATIENCE: dict[Service, tuple[float, int]] = {
    "dynamodb": (TABLE_TIMEOUT_SECONDS, 4),
    # Few tries in the client: the loop, the beat and the finish try again themselves, and say so.
    "sqs": (POLL_TIMEOUT_SECONDS, 2),
    "s3": (BUCKET_TIMEOUT_SECONDS, 2),
}
"""How long each answer is waited for, in seconds, and how often it is asked for."""


@dataclass(frozen=True, slots=True)
class Aws:
    """The table, and SQS."""

    table: AsyncDynamoClient
    sqs: Any


def _make_client(session: Any, settings: Settings, service: Service) -> Any:
    read_timeout, attempts = _PATIENCE[service]
    config = AioConfig(
        connect_timeout=5,
        read_timeout=read_timeout,
        retries={"mode": "standard", "max_attempts": attempts},
    )
    return session.create_client(
        service, region_name=settings.region, endpoint_url=settings.endpoint_url, config=config
    )


@asynccontextmanager
async def open_s3(settings: Settings) -> AsyncIterator[Any]:
    """Open a client of S3, for a request or two."""
    session = get_session()
    share_descriptions(session)
    async with _make_client(session, settings, "s3") as client:
        yield client


@asynccontextmanager
async def open_aws(settings: Settings) -> AsyncIterator[Aws]:
    """Open both clients.

    Raises:
        SettingsError: no table is named, or no region.
    """
    settings.require("table_name")
    session = get_session()
    share_descriptions(session)
    async with AsyncExitStack() as stack:
        try:
            dynamodb = await stack.enter_async_context(_make_client(session, settings, "dynamodb"))
            sqs = await stack.enter_async_context(_make_client(session, settings, "sqs"))
        except NoRegionError as error:
            raise SettingsError("AWS_REGION is not set. Set it, for example to us-east-1.") from error
        yield Aws(AsyncDynamoClient(str(settings.table_name), dynamodb), sqs)
