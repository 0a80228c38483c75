"""The worker's own bucket as the daemon itself uses it, with a client that is opened each time and closed.

An open one would cost every idle daemon megabytes for a request or two in its life.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from messages.fields import S3Place
from workers.errors import BucketUnusable, CredentialsMissing, CredentialsRefused, QueueError
from workers.settings import Settings

_UNUSABLE = {
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "InvalidBucketName",
    "InvalidBucketState",
    "NoSuchBucket",
    "PermanentRedirect",
}
_REFUSED = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "KMS.AccessDeniedException",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_OF_KEYS = "KMS."
"""S3 passes on what KMS says of the bucket's key."""
_PASSING_OF_KEYS = {"KMS.ThrottlingException", "KMS.KMSInternalException", "KMS.DependencyTimeoutException"}


class ObjectMissing(QueueError):  # noqa: N818 - reads as what it is
    """There is no such object."""


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
        async with s3_errors_translated(f"Listing s3://{self.name}/{prefix}", self.name):
            await self.client.list_objects_v2(Bucket=self.name, Prefix=prefix, MaxKeys=1)

    async def put(self, key: str, body: bytes, *, tag: str | None = None) -> None:
        """Write an object; `tag` is NAME=VALUE."""
        more = {"Tagging": tag} if tag else {}
        async with s3_errors_translated(f"Writing s3://{self.name}/{key}", self.name):
            await self.client.put_object(Bucket=self.name, Key=key, Body=body, **more)

    async def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            ObjectMissing: there is none.
        """
        async with s3_errors_translated(f"Reading s3://{self.name}/{key}", self.name):
            answer = await self.client.get_object(Bucket=self.name, Key=key)
            body: bytes = await answer["Body"].read()
        return body


@asynccontextmanager
async def open_bucket(settings: Settings, place: S3Place | None = None) -> AsyncIterator[Bucket]:
    """Open the bucket of a place, or our own."""
    from workers.aws import open_s3  # noqa: PLC0415 - aiobotocore is as much to import as all the rest

    name = place.bucket if place else settings.runs.bucket
    async with s3_errors_translated(f"s3://{name}/", name), open_s3(settings) as client:
        yield Bucket(name, client)


@asynccontextmanager
async def s3_errors_translated(what: str, bucket: str) -> AsyncIterator[None]:
    """Raise ours instead, with what was tried."""
    try:
        yield
    except ClientError as error:
        raise _translate(error, what, bucket) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CredentialsMissing(
            f"No AWS credentials for s3://{bucket}/. Set AWS_PROFILE or the AWS_ACCESS_KEY_ID pair, or "
            "attach a role."
        ) from error
    except (BotoCoreError, OSError) as error:
        raise QueueError(f"{what} failed: {error}") from error


def _translate(error: ClientError, what: str, bucket: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchKey":
        return ObjectMissing(f"{what} failed: there is no such object.")
    if code in _REFUSED:
        return CredentialsRefused(
            f"{what} is refused by AWS ({code}). Grant the worker's role what it needs."
        )
    if code in _UNUSABLE or (code.startswith(_OF_KEYS) and code not in _PASSING_OF_KEYS):
        return BucketUnusable(
            f"{what} failed: {error}. Create the bucket {bucket}, or mend LAYOUTLM_TRAINING_BUCKET, "
            "AWS_REGION or the bucket's key."
        )
    return QueueError(f"{what} failed: {error}")
