"""The two asyncio AWS clients of a daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.aws_faults import (
    ClientNotMade,
    check_files,
    client_made,
    credentials_sought,
    refuse_foreign_answers,
)
from receipt_dynamo.botocore_loader import share_loader
from workers.aws_errors import client_error
from workers.settings import Settings

POLL_TIMEOUT_SECONDS = 40
"""Longer than the longest poll."""
TABLE_TIMEOUT_SECONDS = 10
"""So short that a renewal whose answer never comes can be tried again before the lease ends."""
BUCKET_TIMEOUT_SECONDS = 20
GROUP_TIMEOUT_SECONDS = 10

Service = Literal["dynamodb", "sqs", "s3", "autoscaling"]
_PATIENCE: dict[Service, tuple[float, int]] = {
    "dynamodb": (TABLE_TIMEOUT_SECONDS, 4),
    # Few retries in the client: the loop, the heartbeat and the completion retry themselves, and log it.
    "sqs": (POLL_TIMEOUT_SECONDS, 2),
    "s3": (BUCKET_TIMEOUT_SECONDS, 2),
    "autoscaling": (GROUP_TIMEOUT_SECONDS, 2),
}
"""Timeouts in seconds, and tries, of a request to AWS."""


@dataclass(frozen=True, slots=True)
class Aws:
    """The table, and SQS."""

    table: AsyncDynamoClient
    sqs: Any


@asynccontextmanager
async def open_aws(settings: Settings) -> AsyncIterator[Aws]:
    """Open both clients.

    Raises:
        SettingsError: no table is named, or no client can be made with the region, endpoint or files of AWS.
        CredentialsMissing: there are no credentials, half of them, or their helper fails.
    """
    settings.require("table_name")
    async with AsyncExitStack() as stack:
        session = await _make_session()
        dynamodb = await _open_client(stack, session, settings, "dynamodb")
        sqs = await _open_client(stack, session, settings, "sqs")
        yield Aws(AsyncDynamoClient(str(settings.table_name), dynamodb), sqs)


@asynccontextmanager
async def open_client(settings: Settings, service: Service) -> AsyncIterator[Any]:
    """Open one client of a session of its own.

    Raises:
        SettingsError, CredentialsMissing: as `open_aws`.
    """
    async with AsyncExitStack() as stack:
        yield await _open_client(stack, await _make_session(), settings, service)


async def find_credentials() -> bool:
    """Whether there are credentials for clients now.

    Raises:
        SettingsError, CredentialsMissing: as `open_aws`.
    """
    session = await _make_session()
    return await session.get_credentials() is not None


async def _make_session() -> Any:
    """Make a session and look for its credentials, which the clients would use only later."""
    try:
        with client_made():
            session = get_session()
            share_loader(session)
            refuse_foreign_answers(session)
            check_files(session)
        with credentials_sought():
            await session.get_credentials()
    except ClientNotMade as error:
        raise client_error(error) from error
    return session


async def _open_client(stack: AsyncExitStack, session: Any, settings: Settings, service: Service) -> Any:
    read_timeout, attempts = _PATIENCE[service]
    config = AioConfig(
        connect_timeout=5, read_timeout=read_timeout, retries={"mode": "standard", "max_attempts": attempts}
    )
    try:
        with client_made():
            client = session.create_client(
                service, region_name=settings.region, endpoint_url=settings.endpoint_url, config=config
            )
            return await stack.enter_async_context(client)
    except ClientNotMade as error:
        raise client_error(error) from error
