from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import boto3
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.config import Config

from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.client import DynamoClient
from receipt_dynamo.errors import CredentialsError, DynamoError, NetworkError, TableMissing
from receipt_dynamo.table import TIME_TO_LIVE_ATTRIBUTE

IMPATIENT: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "connect_timeout": 2, "read_timeout": 5}
REGION = "us-east-1"


def count_receipts(kind: str, table: str, endpoint: str) -> int:
    if kind == "threads":
        raw = boto3.session.Session().client(
            "dynamodb", region_name=REGION, endpoint_url=endpoint, config=Config(**IMPATIENT)
        )
        with closing(DynamoClient(table, client=raw)) as client:
            return client.count_receipts()

    async def count() -> int:
        opening = get_session().create_client(
            "dynamodb", region_name=REGION, endpoint_url=endpoint, config=AioConfig(**IMPATIENT)
        )
        async with opening as raw:
            return await AsyncDynamoClient(table, raw).count_receipts()

    return asyncio.run(count())


kinds = pytest.mark.parametrize("kind", ["threads", "asyncio"])


@kinds
def test_a_missing_table_is_named_with_what_to_correct(kind: str, dynamo_endpoint: str) -> None:
    with pytest.raises(TableMissing, match=f"table nowhere at {dynamo_endpoint}.*DYNAMO_TABLE_NAME"):
        count_receipts(kind, "nowhere", dynamo_endpoint)


@kinds
def test_missing_credentials_are_told_apart(
    kind: str, dynamo_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(
        CredentialsError, match=r"table t .* failed: Unable to locate credentials\. Set a profile"
    ):
        count_receipts(kind, "t", dynamo_endpoint)


@kinds
def test_an_endpoint_that_is_down_is_a_network_error(kind: str) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(NetworkError, match=f"table t at {endpoint}.*Check the network"):
        count_receipts(kind, "t", endpoint)


def test_a_client_without_a_region_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(DynamoError, match="Set AWS_REGION"):
        DynamoClient("t")


def test_one_client_serves_many_threads_and_counts_their_requests(
    dynamo_table: str, dynamo_endpoint: str
) -> None:
    with (
        closing(
            DynamoClient(dynamo_table, region=REGION, endpoint_url=dynamo_endpoint, max_pool_connections=8)
        ) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        assert list(threads.map(lambda _: client.count_receipts(), range(32))) == [0] * 32
        assert client.request_count == 32


def test_the_table_expires_items_and_has_the_indexes_of_the_contract(
    dynamo_table: str, raw_dynamo: Any
) -> None:
    expiry = raw_dynamo.describe_time_to_live(TableName=dynamo_table)["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": TIME_TO_LIVE_ATTRIBUTE}
    table = raw_dynamo.describe_table(TableName=dynamo_table)["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    indexes = {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for index in table["GlobalSecondaryIndexes"]
    }
    assert indexes["GSI4"] == ["GSI4PK", "GSI4SK"]
    assert indexes["GSITYPE"] == ["TYPE"]
