"""The edge to S3: botocore's errors become this package's, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions as aws
from boto3.exceptions import S3UploadFailedError

from receipt_layoutlm.errors import (
    CheckpointError,
    ConfigurationError,
    CredentialsError,
    Forbidden,
    LayoutLMError,
    NetworkError,
    Throttled,
)


class ObjectMissing(CheckpointError):  # noqa: N818 - reads as what happened
    """There is no such object or bucket."""


class ObjectChanged(Throttled):
    """Somebody else wrote the object since it was looked at; whoever gives up on it may try later."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn botocore's errors into this package's, with `what` they were about."""
    try:
        yield
    except aws.ClientError as error:
        raise _translate(error, what) from error
    except S3UploadFailedError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, aws.ClientError):
            raise _translate(cause, what) from error
        raise NetworkError(f"Uploading {what} failed: {error}. It is tried again later.") from error
    except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError) as error:
        raise CredentialsError(
            f"No AWS credentials for {what}. Set AWS_PROFILE or the AWS_ACCESS_KEY_ID pair, or attach a role."
        ) from error
    except aws.NoRegionError as error:
        raise ConfigurationError("No AWS region is set. Set AWS_REGION, for example us-east-1.") from error
    except aws.BotoCoreError as error:
        raise NetworkError(
            f"{what} could not be reached: {error}. Check AWS_ENDPOINT_URL and the network."
        ) from error


_BY_CODE: tuple[tuple[frozenset[str], type[LayoutLMError], str], ...] = (
    (
        frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken"}),
        CredentialsError,
        "AWS refuses the credentials for {what} ({code}). Refresh them.",
    ),
    (
        frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "503"}),
        Throttled,
        "S3 asks for fewer requests at {what} ({code}).",
    ),
    (
        frozenset({"NoSuchKey", "404", "NoSuchBucket"}),
        ObjectMissing,
        "There is no {what} ({code}). Check the name of bucket and key.",
    ),
    (
        frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"}),
        ObjectChanged,
        "Somebody else wrote {what} at the same moment ({code}). It is tried again later.",
    ),
    (
        frozenset({"AccessDenied", "403"}),
        Forbidden,
        "AWS denies access to {what}. Grant the worker's role what it needs there.",
    ),
)


def _translate(error: aws.ClientError, what: str) -> LayoutLMError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    for codes, kind, sentence in _BY_CODE:
        if code in codes:
            return kind(sentence.format(what=what, code=code))
    if status >= 500:  # noqa: PLR2004 - HTTP's server errors
        return NetworkError(f"S3 failed at {what} ({code or status}). It is tried again later.")
    return ConfigurationError(f"S3 refuses the request for {what}: {error}")
