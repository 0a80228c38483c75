"""S3's error codes and what each becomes, with whether it is retryable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from receipt_dynamo.aws_codes import AwsFault
from receipt_dynamo.aws_faults import ClientNotMade, Judgement, judge
from run_records.errors import (
    CheckpointError,
    ChecksumError,
    ClockError,
    ConfigurationError,
    CredentialsError,
    Denied,
    NetworkError,
    RunError,
    SetupError,
    Throttled,
)


class ObjectMissing(CheckpointError):  # noqa: N818 - reads as what happened
    """There is no such object, or no such bucket where a request names it."""


class ObjectChanged(Throttled):
    """Somebody else wrote the object since it was looked at; whoever gives up on it may try later."""


_CAUGHT: Final[tuple[type[Exception], ...]] = (
    BotoCoreError,
    ClientError,
    ResponseParserError,
    S3UploadFailedError,
    RetriesExceededError,
    ClientNotMade,
)
_REFUSED: Final = "S3 refuses the request for {what} ({code}: {message})."
_MISSING: Final = "There is no {what} ({code}). Check the name of bucket and key."

BY_FAULT: Final[dict[AwsFault, tuple[type[RunError], str]]] = {
    AwsFault.THROTTLED: (Throttled, "S3 asks for fewer requests at {what} ({code})."),
    AwsFault.NETWORK: (
        NetworkError,
        "{what} could not be reached ({code}: {message}). Check AWS_ENDPOINT_URL and the network.",
    ),
    AwsFault.CHECKSUM: (
        ChecksumError,
        "What arrived at or from {what} is not what was sent ({code}: {message}). It is tried again later.",
    ),
    AwsFault.CONFLICT: (
        ObjectChanged,
        "Somebody else wrote {what} at the same moment ({code}). It is tried again later.",
    ),
    **dict.fromkeys(
        (AwsFault.CREDENTIALS, AwsFault.NO_CREDENTIALS),
        (
            CredentialsError,
            "No credentials for {what} ({code}: {message}). Renew them, or set a profile, keys or a role.",
        ),
    ),
    AwsFault.CLOCK: (
        ClockError,
        "This host's clock is wrong, so AWS refuses {what} ({code}). Start the host's time service.",
    ),
    AwsFault.FORBIDDEN: (
        Denied,
        "AWS denies access to {what} ({code}). Grant the worker's role what it needs there.",
    ),
    AwsFault.DISABLED: (
        Denied,
        "{what} cannot be used ({code}: {message}). Look at the account, the bucket and its encryption key.",
    ),
    AwsFault.MISSING: (ObjectMissing, _MISSING),
    AwsFault.NO_KEY: (ObjectMissing, _MISSING),
    AwsFault.UNKNOWN: (Denied, _REFUSED),
    AwsFault.SETTINGS: (
        SetupError,
        "No client can be made for {what} ({message}). Correct AWS_REGION, endpoint or ~/.aws/config.",
    ),
    **dict.fromkeys(
        (
            AwsFault.REGION,
            AwsFault.REQUEST,
            AwsFault.TOO_LARGE,
            AwsFault.CONDITION,
            AwsFault.STALE_HANDLE,
        ),
        (ConfigurationError, _REFUSED),
    ),
}
"""Each fault with its error; `{what}` is what the request was about."""

OF_OWN_BUCKET: Final = frozenset({AwsFault.MISSING, AwsFault.FORBIDDEN, AwsFault.DISABLED, AwsFault.REGION})
"""Faults that no request is to blame for where they concern the bucket that this host is set up with."""


@contextmanager
def translated(what: str, *, is_own: bool = False) -> Iterator[None]:
    """Turn what S3's client raises into this package's errors.

    Args:
        what: what the request is about.
        is_own: whether that lies in the host's own bucket.
    """
    try:
        yield
    except _CAUGHT as error:
        raise _translate(_judge(error), what, is_own=is_own) from error


def _judge(error: Exception) -> Judgement:
    if isinstance(error, S3UploadFailedError | RetriesExceededError):
        cause = getattr(error, "last_exception", None) or error.__cause__ or error.__context__
        # boto3 says so of transfers only, after several tries.
        if isinstance(cause, Exception):
            return judge(cause)
        return Judgement(AwsFault.NETWORK, type(error).__name__, str(error))
    return judge(error)


def _translate(found: Judgement, what: str, *, is_own: bool) -> RunError:
    if is_own and found.fault in OF_OWN_BUCKET:
        return SetupError(
            f"This host's own bucket cannot be used: {what} ({found.code}: {found.message}). Correct "
            "LAYOUTLM_TRAINING_BUCKET or AWS_REGION, or grant the worker's role and key what they need."
        )
    kind, sentence = BY_FAULT[found.fault]
    return kind(sentence.format(what=what, code=found.code, message=found.message.rstrip(".")))
