"""The edge to SQS: botocore's errors become ours here, and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from workers.errors import CredentialsMissing, CredentialsRefused, QueueError, QueueUnusable

_MISSING = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
_REFUSED = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_GONE = {"ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"}


class StaleHandle(QueueError):  # noqa: N818 - reads as what it is
    """The receipt handle has expired or the message is gone."""


class TooLong(QueueError):  # noqa: N818
    """Body and attributes together exceed what SQS takes."""


@asynccontextmanager
async def empty_batch_refused() -> AsyncIterator[None]:
    """Let an empty batch ask whether a full one would be allowed: SQS refuses it for being empty."""
    try:
        yield
    except ClientError as error:
        if not str(error.response.get("Error", {}).get("Code", "")).endswith("EmptyBatchRequest"):
            raise


@asynccontextmanager
async def sqs_errors_translated(url: str) -> AsyncIterator[None]:
    """Raise ours instead, naming the queue's URL."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise QueueUnusable(f"There is no queue {url}. Create it, or mend the queue's URL.") from error
        if "must be shorter than" in str(error) or "MessageTooLong" in code:
            raise TooLong(f"{url} takes no message of this size.") from error
        if any(code.endswith(known) for known in _GONE):
            raise StaleHandle(f"{url}: {error}") from error
        if code in _REFUSED:
            raise CredentialsRefused(f"{url}: AWS refuses our credentials: {error}") from error
        raise QueueError(f"{url}: {error}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CredentialsMissing(
            f"No AWS credentials for {url}. Set AWS_PROFILE or the AWS_ACCESS_KEY_ID pair, or attach a role."
        ) from error
    except (BotoCoreError, OSError) as error:
        raise QueueError(f"{url} could not be asked: {error}") from error
