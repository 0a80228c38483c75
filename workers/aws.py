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


@dataclass(frozen=True, slots=True)
class Aws:
    """The table, and SQS."""

    table: AsyncDynamoClient
    sqs: Any


@asynccontextmanager
async def open_aws(settings: Settings) -> AsyncIterator[Aws]:
    """Open both clients.

    Raises:
        SettingsError: no table is named, or no region.
    """
    settings.require("table_name")
    session = get_session()
    share_descriptions(session)

    def client(service: Literal["dynamodb", "sqs"], read_timeout: float, attempts: int) -> Any:
        config = AioConfig(
            connect_timeout=5,
            read_timeout=read_timeout,
            retries={"mode": "standard", "max_attempts": attempts},
        )
        return session.create_client(
            service, region_name=settings.region, endpoint_url=settings.endpoint_url, config=config
        )

    async with AsyncExitStack() as stack:
        try:
            dynamodb = await stack.enter_async_context(client("dynamodb", TABLE_TIMEOUT_SECONDS, 4))
            # Few tries in the client: the loop, the beat and the finish try again themselves, and say so.
            sqs = await stack.enter_async_context(client("sqs", POLL_TIMEOUT_SECONDS, 2))
        except NoRegionError as error:
            raise SettingsError("AWS_REGION is not set. Set it, for example to us-east-1.") from error
        yield Aws(AsyncDynamoClient(str(settings.table_name), dynamodb), sqs)
