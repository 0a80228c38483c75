"""The daemon's access to the worker's own bucket, with a client that is opened and closed for each use.

An open one would cost every idle daemon megabytes for a request or two in its life.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from messages.fields import S3Uri
from receipt_dynamo.aws_codes import AwsFault
from receipt_dynamo.aws_faults import call_errors, judge
from workers.errors import (
    BucketUnusable,
    CredentialsMissing,
    CredentialsRefused,
    QueueError,
    WorkerError,
)
from workers.settings import Settings


class ObjectMissing(QueueError):  # noqa: N818 - reads as what it is
    """There is no such object."""


BY_FAULT: Final[dict[AwsFault, tuple[type[QueueError | WorkerError], str]]] = {
    AwsFault.NO_KEY: (ObjectMissing, "{what} failed: there is no such object."),
    **dict.fromkeys(
        (AwsFault.MISSING, AwsFault.REGION, AwsFault.DISABLED, AwsFault.SETTINGS),
        (
            BucketUnusable,
            "{what} failed ({code}): {message}. Mend LAYOUTLM_TRAINING_BUCKET, the bucket itself or its key.",
        ),
    ),
    AwsFault.NO_CREDENTIALS: (
        CredentialsMissing,
        "{what} failed: {message}. Set a profile that exists, both keys, or a role.",
    ),
    **dict.fromkeys(
        (AwsFault.CREDENTIALS, AwsFault.FORBIDDEN),
        (
            CredentialsRefused,
            "{what} is refused by AWS ({code}): {message}. Grant the worker's role what it needs.",
        ),
    ),
    **dict.fromkeys(
        (
            AwsFault.THROTTLED,
            AwsFault.NETWORK,
            AwsFault.CHECKSUM,
            AwsFault.CONFLICT,
            AwsFault.CLOCK,
            AwsFault.UNKNOWN,
            AwsFault.CONDITION,
            AwsFault.STALE_HANDLE,
            AwsFault.TOO_LARGE,
            AwsFault.REQUEST,
        ),
        (QueueError, "{what} failed ({code}): {message}."),
    ),
}
"""Each fault of a call with its error; `{what}` is what was tried."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket with an open client.

    Every method raises BucketUnusable, CredentialsMissing, CredentialsRefused or, where another try may help,
    QueueError.
    """

    name: str
    client: Any

    async def look(self, prefix: str) -> None:
        """List a key or none."""
        async with s3_errors_translated(f"Listing s3://{self.name}/{prefix}"):
            await self.client.list_objects_v2(Bucket=self.name, Prefix=prefix, MaxKeys=1)

    async def put(self, key: str, body: bytes, *, tag: str | None = None) -> None:
        """Write an object; `tag` is NAME=VALUE."""
        more = {"Tagging": tag} if tag else {}
        async with s3_errors_translated(f"Writing s3://{self.name}/{key}"):
            await self.client.put_object(Bucket=self.name, Key=key, Body=body, **more)

    async def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            ObjectMissing: there is none.
        """
        async with s3_errors_translated(f"Reading s3://{self.name}/{key}"):
            answer = await self.client.get_object(Bucket=self.name, Key=key)
            body: bytes = await answer["Body"].read()
            return body


@asynccontextmanager
async def open_bucket(settings: Settings, place: S3Uri | None = None) -> AsyncIterator[Bucket]:
    """Open the bucket of a place, or our own."""
    from workers.aws_clients import open_client  # noqa: PLC0415 - aiobotocore is as much to import as all the rest

    async with open_client(settings, "s3") as client:
        yield Bucket(place.bucket if place else settings.runs.bucket, client)


@asynccontextmanager
async def s3_errors_translated(what: str) -> AsyncIterator[None]:
    """Translate botocore's errors to this package's, naming the call; read its answer inside the block."""
    try:
        yield
    except call_errors() as error:
        found = judge(error)
        kind, sentence = BY_FAULT[found.fault]
        raise kind(sentence.format(what=what, code=found.code, message=found.message.rstrip("."))) from error
