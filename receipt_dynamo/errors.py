"""The exceptions of table calls, as one small tree; each message says what to do next.

Nothing here imports botocore: `receipt_dynamo.aws_errors` converts its errors into these.
"""

# ruff: noqa: N818 - a name says what happened; that it is an error shows where it is raised
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from receipt_dynamo.types import Item


class DynamoError(Exception):
    """Anything that stopped a call to the table."""


class TableMissing(DynamoError):
    """The table does not exist where we looked."""


class Throttled(DynamoError):
    """DynamoDB asked us to slow down and kept asking; try again later."""


class CredentialsError(DynamoError):
    """No credentials, or ones that AWS does not take."""


class Forbidden(CredentialsError):
    """Ones that may not do this."""


class InvalidSetting(DynamoError):
    """No client can be made with this host's region, endpoint, profile, proxy or `~/.aws/config`."""


class NetworkError(DynamoError):
    """DynamoDB could not be reached or did not answer; try again later."""


class ClockError(NetworkError):
    """No request gets through, because this host's clock differs too much from that of AWS."""


class ItemTooLarge(DynamoError):
    """The item would exceed DynamoDB's 400 KB."""


class NotFound(DynamoError):
    """The record does not exist."""


class ConditionFailed(DynamoError):
    """The table refused a conditional write; `item` is what stands there (DynamoDB JSON), or None."""

    def __init__(self, message: str, item: Item | None = None) -> None:
        super().__init__(message)
        self.item = item


class AlreadyExists(ConditionFailed):
    """A record with this key exists; it was left as it is."""


class InvalidValue(DynamoError, ValueError):
    """A value that DynamoDB cannot hold, or a malformed one; `attribute` is its dotted path."""

    def __init__(self, attribute: str, reason: str) -> None:
        super().__init__(f"{attribute} {reason}")
        self.attribute = attribute
        self.reason = reason


class InvalidItem(DynamoError, ValueError):
    """An item or a record breaks its contract; names the type, the key and the attribute."""

    def __init__(self, record_type: str, key: str, attribute: str, reason: str) -> None:
        super().__init__(f"{record_type} {key}: attribute {attribute!r} {reason}")
        self.record_type = record_type
        self.key = key
        self.attribute = attribute
        self.reason = reason


class UnwritableItem(InvalidItem):
    """A record has a value that DynamoDB cannot hold: no other attempt will write it."""
