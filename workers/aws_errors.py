"""Error translation of SQS: the only place that converts errors of AWS and aiobotocore to this package's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from botocore.exceptions import ClientError

from receipt_dynamo.aws_codes import AwsFault
from receipt_dynamo.aws_faults import ClientNotMade, call_errors, judge
from workers.errors import (
    CredentialsMissing,
    CredentialsPending,
    CredentialsRefused,
    QueueError,
    QueueUnusable,
    SettingsError,
)


class StaleHandle(QueueError):  # noqa: N818 - reads as what it is
    """The receipt handle has expired or the message is gone."""


class TooLong(QueueError):  # noqa: N818
    """Body and attributes together exceed what SQS takes."""


BY_FAULT: Final[dict[AwsFault, tuple[type[QueueError | QueueUnusable | CredentialsMissing], str]]] = {
    AwsFault.MISSING: (
        QueueUnusable,
        "There is no queue {url} ({code}). Create it, or mend the queue's URL.",
    ),
    AwsFault.TOO_LARGE: (TooLong, "{url} takes no message of this size ({code})."),
    AwsFault.STALE_HANDLE: (StaleHandle, "{url}: {message} ({code})"),
    AwsFault.NO_CREDENTIALS: (
        CredentialsMissing,
        "No AWS credentials for {url}: {message}. Set a profile that exists, both keys, or a role.",
    ),
    AwsFault.CREDENTIALS: (
        CredentialsRefused,
        "{url}: AWS refuses our credentials ({code}): {message}. Renew them.",
    ),
    AwsFault.FORBIDDEN: (
        CredentialsRefused,
        "{url}: AWS refuses our credentials ({code}): {message}. Allow the role this action on the queue.",
    ),
    AwsFault.CLOCK: (
        QueueError,
        "{url}: this host's clock is wrong ({code}): {message}. Start the host's time service.",
    ),
    **dict.fromkeys(
        (
            AwsFault.THROTTLED,
            AwsFault.NETWORK,
            AwsFault.CHECKSUM,
            AwsFault.CONFLICT,
            AwsFault.DISABLED,
            AwsFault.UNKNOWN,
            AwsFault.CONDITION,
            AwsFault.NO_KEY,
            AwsFault.REGION,
            AwsFault.REQUEST,
            AwsFault.SETTINGS,
        ),
        (
            QueueError,
            "{url} could not be asked ({code}): {message}. Check network and AWS_ENDPOINT_URL; try again.",
        ),
    ),
}
"""Each fault of a call with its error; `{url}` is the queue's."""


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
    """Translate errors to this package's, naming the queue's URL.

    An answer is to be read inside: what is not in the form of AWS counts as a fault of the network.
    """
    try:
        yield
    except call_errors() as error:
        found = judge(error)
        kind, sentence = BY_FAULT[found.fault]
        message = found.message.rstrip(".")
        raise kind(sentence.format(url=url, code=found.code, message=message)) from error


def client_error(error: ClientNotMade) -> SettingsError | CredentialsMissing:
    """The error that ends a daemon or a command which can make no client of AWS."""
    if error.judgement.fault is AwsFault.SETTINGS:
        return SettingsError(
            f"No client of AWS can be made: {error}. Set AWS_REGION, endpoint and ~/.aws/config right."
        )
    kind = CredentialsPending if error.judgement.fault is AwsFault.CREDENTIALS else CredentialsMissing
    return kind(
        f"No usable AWS credentials: {error}. Set AWS_PROFILE to one that exists and works or the "
        "AWS_ACCESS_KEY_ID pair, or attach a role."
    )
