"""Where botocore ends: its errors become ours here, with the table's name and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as EndpointError

from receipt_dynamo.errors import (
    ConditionFailed,
    CredentialsError,
    DynamoError,
    ItemTooLarge,
    NetworkError,
    TableMissing,
    Throttled,
)

_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    SSOError,
)

_BY_CODE: dict[str, tuple[type[DynamoError], str]] = {
    "ResourceNotFoundException": (
        TableMissing,
        "Create the table, or correct DYNAMO_TABLE_NAME, AWS_REGION or AWS_ENDPOINT_URL",
    ),
    **dict.fromkeys(
        (
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "RequestLimitExceeded",
            "LimitExceededException",
        ),
        (Throttled, "Try again later with fewer requests at a time"),
    ),
    **dict.fromkeys(
        (
            "UnrecognizedClientException",
            "InvalidSignatureException",
            "ExpiredTokenException",
            "MissingAuthenticationTokenException",
            "IncompleteSignatureException",
            "InvalidClientTokenId",
        ),
        (CredentialsError, "Refresh the credentials (aws sts get-caller-identity shows which are used)"),
    ),
    "AccessDeniedException": (CredentialsError, "Allow the role this action on the table and its indexes"),
    **dict.fromkeys(
        ("InternalServerError", "ServiceUnavailable", "InternalFailure"),
        (NetworkError, "DynamoDB had a fault of its own; try again later"),
    ),
}


@contextmanager
def errors_translated(table: str, endpoint: str) -> Iterator[None]:
    """Raise botocore's errors inside as `DynamoError`s that name the table and the endpoint."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise translate(error, table, endpoint) from error


def translate(error: ClientError | BotoCoreError, table: str, endpoint: str) -> DynamoError:
    """Return the `DynamoError` that says what `error` means for the table at this endpoint."""
    where = f"table {table} at {endpoint}"
    if isinstance(error, ClientError):
        return _translate_answer(error, where)
    if isinstance(error, _CREDENTIALS):
        return CredentialsError(
            f"No usable AWS credentials for {where}: {error}. Set a profile, a role or keys."
        )
    if isinstance(error, HTTPClientError | EndpointError):
        return NetworkError(
            f"No answer for {where}: {error}. Check the network and AWS_ENDPOINT_URL; try again."
        )
    if isinstance(error, NoRegionError):
        return DynamoError(f"No AWS region is set for {where}. Set AWS_REGION and pass it as region.")
    return DynamoError(f"The call for {where} was not sent: {error}.")


def _translate_answer(error: ClientError, where: str) -> DynamoError:
    answer: dict[str, Any] = dict(error.response)
    code = answer.get("Error", {}).get("Code", "")
    message = answer.get("Error", {}).get("Message", "")
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(f"A conditional write was refused by {where}.", answer.get("Item"))
    if code == "ValidationException" and "item size" in message.lower():
        return ItemTooLarge(
            f"An item exceeds 400 KB in {where}. Put the large part in S3 and keep a pointer."
        )
    kind, advice = _BY_CODE.get(code, (DynamoError, "Look the code up in the DynamoDB documentation"))
    return kind(f"{code} from {where}: {message} {advice}.")
