"""Converts botocore errors of DynamoDB calls into `DynamoError`s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import botocore.exceptions as aws

from receipt_dynamo.aws_codes import AwsFault
from receipt_dynamo.aws_faults import call_errors, judge
from receipt_dynamo.errors import (
    ClockError,
    ConditionFailed,
    CredentialsError,
    DynamoError,
    Forbidden,
    InvalidSetting,
    ItemTooLarge,
    NetworkError,
    TableMissing,
    Throttled,
)
from receipt_dynamo.operation import Request, Response

_TRY_LATER: Final = "Try again later"

BY_FAULT: Final[dict[AwsFault, tuple[type[DynamoError], str]]] = {
    AwsFault.THROTTLED: (Throttled, "Try again later with fewer requests at a time"),
    AwsFault.CONFLICT: (Throttled, _TRY_LATER),
    AwsFault.NETWORK: (NetworkError, "Check the network and AWS_ENDPOINT_URL; try again later"),
    AwsFault.CHECKSUM: (NetworkError, _TRY_LATER),
    AwsFault.CLOCK: (ClockError, "Correct this host's clock (timedatectl, or its time service)"),
    AwsFault.CREDENTIALS: (
        CredentialsError,
        "Refresh the credentials (aws sts get-caller-identity shows which are used)",
    ),
    AwsFault.NO_CREDENTIALS: (CredentialsError, "Set a profile that exists, a role, or both keys"),
    AwsFault.DISABLED: (Forbidden, "Look at the account, and at the table's encryption key"),
    AwsFault.FORBIDDEN: (Forbidden, "Allow the role this action on the table and its indexes"),
    AwsFault.MISSING: (
        TableMissing,
        "Create the table, or correct DYNAMO_TABLE_NAME, AWS_REGION or AWS_ENDPOINT_URL",
    ),
    AwsFault.REGION: (InvalidSetting, "Correct AWS_REGION or AWS_ENDPOINT_URL"),
    AwsFault.SETTINGS: (InvalidSetting, "Set AWS_REGION, AWS_ENDPOINT_URL and ~/.aws/config right"),
    AwsFault.TOO_LARGE: (
        ItemTooLarge,
        "An item that exceeds 400 KB has no room. Put the large part in S3 and keep a pointer",
    ),
    **dict.fromkeys(
        (AwsFault.UNKNOWN, AwsFault.REQUEST, AwsFault.NO_KEY, AwsFault.STALE_HANDLE),
        (DynamoError, "Look the code up in the DynamoDB documentation"),
    ),
}
"""Each fault of a call with its error and advice; CONDITION has an error of its own, `ConditionFailed`."""


@contextmanager
def translate_errors(table: str, endpoint: str) -> Iterator[None]:
    """Raise what a call inside raises as `DynamoError`s that name the table and the endpoint."""
    try:
        yield
    except DynamoError:
        raise
    except call_errors() as error:
        raise translate(error, table, endpoint) from error


def translate(error: Exception, table: str, endpoint: str) -> DynamoError:
    """Return the `DynamoError` that says what `error` means for the table at this endpoint."""
    found = judge(error)
    where = f"table {table} at {endpoint}"
    if found.fault is AwsFault.CONDITION and isinstance(error, aws.ClientError):
        answer: dict[str, Any] = dict(error.response)
        return ConditionFailed(f"A conditional write was refused by {where}.", answer.get("Item"))
    kind, advice = BY_FAULT[found.fault]
    answered = isinstance(error, aws.ClientError)
    what = f"{found.code} from {where}" if answered else f"The request for {where} failed"
    return kind(f"{what}: {found.message.rstrip('.')}. {advice}.")


def check_answer(request: Request, response: Response) -> None:
    """Make sure that an answer carries what its request asks for, since JSON of anything can be parsed.

    Raises:
        LookupError: it does not.
    """
    for name in _members(request):
        if name not in response:
            raise LookupError(f"no {name}")


def _members(request: Request) -> tuple[str, ...]:
    if request.call == "query":
        return ("Count",) if request.arguments.get("Select") == "COUNT" else ("Items",)
    wants_attributes = request.arguments.get("ReturnValues", "NONE") in {"ALL_NEW", "UPDATED_NEW"}
    return ("Attributes",) if wants_attributes else ()
