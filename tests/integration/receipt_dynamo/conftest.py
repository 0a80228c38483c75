"""A real moto server, a table of its own for each test, and both clients behind one face."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aiobotocore.session import get_session

from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.client import DynamoClient
from receipt_dynamo.table import create_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REGION = "us-east-1"


@pytest.fixture(scope="session")
def dynamo_endpoint() -> Iterator[str]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(endpoint, server)
        yield endpoint
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture(autouse=True)
def made_up_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


@pytest.fixture
def raw_dynamo(dynamo_endpoint: str, made_up_credentials: None) -> Iterator[DynamoDBClient]:
    with closing(boto3.client("dynamodb", region_name=REGION, endpoint_url=dynamo_endpoint)) as client:
        yield client


@pytest.fixture
def dynamo_table(raw_dynamo: DynamoDBClient) -> str:
    name = f"receipts-{uuid.uuid4()}"
    create_table(raw_dynamo, name)
    return name


class Awaiting:
    """Both clients' methods as plain calls, so that each scenario is written once."""

    def __init__(self, client: AsyncDynamoClient, run: Callable[[Any], Any]) -> None:
        self._client = client
        self._run = run

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return (lambda *args, **kwargs: self._run(found(*args, **kwargs))) if callable(found) else found


@pytest.fixture(params=["threads", "asyncio"])
def dynamo(request: pytest.FixtureRequest, dynamo_endpoint: str, dynamo_table: str) -> Iterator[Any]:
    if request.param == "threads":
        with closing(DynamoClient(dynamo_table, region=REGION, endpoint_url=dynamo_endpoint)) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        opening = get_session().create_client("dynamodb", region_name=REGION, endpoint_url=dynamo_endpoint)
        aio_client = runner.run(stack.enter_async_context(opening))
        yield Awaiting(AsyncDynamoClient(dynamo_table, aio_client), runner.run)
        runner.run(stack.aclose())


def _wait_until_it_answers(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=2).close()  # noqa: S310 - our own server
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("moto's server did not answer within 60 s. Run `python -m moto.server` to see why.")
