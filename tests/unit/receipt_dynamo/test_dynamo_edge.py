from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
    UnauthorizedSSOTokenError,
)

from receipt_dynamo.aws_errors import translate
from receipt_dynamo.errors import (
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


def answered(code: str, message: str = "", **more: Any) -> DynamoError:
    response = cast("Any", {"Error": {"Code": code, "Message": message}, **more})
    return translate(ClientError(response, "UpdateItem"), "t", "http://e")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ResourceNotFoundException", TableMissing),
        ("ThrottlingException", Throttled),
        ("ProvisionedThroughputExceededException", Throttled),
        ("ExpiredTokenException", CredentialsError),
        ("AccessDeniedException", Forbidden),
        ("InternalServerError", NetworkError),
        ("SomethingElse", DynamoError),
    ],
)
def test_an_answer_becomes_the_error_that_says_what_to_do(code: str, kind: type[DynamoError]) -> None:
    error = answered(code)
    assert type(error) is kind
    assert str(error).startswith(f"{code} from table t at http://e: ")


def test_a_refused_condition_carries_what_stands_there() -> None:
    error = answered("ConditionalCheckFailedException", Item={"PK": {"S": "x"}})
    assert isinstance(error, ConditionFailed)
    assert error.item == {"PK": {"S": "x"}}


@pytest.mark.parametrize(
    "message",
    ["Item size has exceeded the maximum allowed size", "Item size to update has exceeded the maximum"],
)
def test_a_too_large_item_is_told_apart_from_other_invalid_requests(message: str) -> None:
    assert isinstance(answered("ValidationException", message), ItemTooLarge)
    assert type(answered("ValidationException", "Invalid UpdateExpression")) is DynamoError


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (NoCredentialsError(), CredentialsError),
        (UnauthorizedSSOTokenError(), CredentialsError),
        (ReadTimeoutError(endpoint_url="http://e"), NetworkError),
        (ConnectionClosedError(endpoint_url="http://e"), NetworkError),
        (NoRegionError(), InvalidSetting),
        (ParamValidationError(report="bad"), DynamoError),
    ],
)
def test_what_happens_before_an_answer_is_told_apart(raised: BotoCoreError, kind: type[DynamoError]) -> None:
    error = translate(raised, "t", "http://e")
    assert type(error) is kind
    assert "table t at http://e" in str(error)
