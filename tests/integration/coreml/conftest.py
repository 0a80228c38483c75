"""A real S3 on this machine, and a small model with its bundles."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.support.small_bundles import (
    bundle,
    bundle_of,
    change_config,
    change_weights,
    checkpoint_folder,
    trained,
)
from workers.local_aws.local_stack import MotoServer

__all__ = [
    "aws",
    "bundle",
    "bundle_of",
    "change_config",
    "change_weights",
    "checkpoint_folder",
    "put_folder",
    "root",
    "s3",
    "trained",
]

BUCKET = "models"


@pytest.fixture
def aws(emulator: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child and this process need in their environment to speak to the server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.endpoint_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def s3(aws: None) -> Iterator[Any]:
    """A client of the server, with the bucket made."""
    client = boto3.client("s3", config=Config(retries={"max_attempts": 1}, connect_timeout=2))
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()


@pytest.fixture
def root(s3: Any) -> str:
    """A prefix of its own for each test, so that they share a server."""
    return f"s3://{BUCKET}/{uuid.uuid4()}/"


@pytest.fixture
def put_folder(s3: Any) -> Callable[[Path, str], None]:
    """Puts a folder's files below a prefix."""

    def put(folder: Path, uri: str) -> None:
        key = uri.removeprefix(f"s3://{BUCKET}/")
        for path in folder.iterdir():
            s3.put_object(Bucket=BUCKET, Key=key + path.name, Body=path.read_bytes())

    return put
