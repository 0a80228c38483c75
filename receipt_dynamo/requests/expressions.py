"""Expressions written as text, their names and values filled in, so that a condition reads as a sentence.

Every attribute is written `#name`: DynamoDB reserves hundreds of words (`state`, `name`, `status`), and
aliasing all of them spares knowing which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from receipt_dynamo.attribute_values import write_value
from receipt_dynamo.operation import Request
from receipt_dynamo.types import Item

_NAME = re.compile(r"#(\w+)", re.ASCII)


def names_in(*expressions: str) -> dict[str, str]:
    """Return what each `#name` of the expressions stands for."""
    return {f"#{name}": name for expression in expressions for name in _NAME.findall(expression)}


def values_of(values: Mapping[str, Any]) -> Item:
    """Return Python values under their `:placeholders`."""
    return {f":{name}": write_value(name, value) for name, value in values.items()}


def update_item(table: str, key: Item, *, update: str, condition: str, values: Item) -> Request:
    """Return a conditional update that answers with the new item, or with the old one when refused."""
    arguments: dict[str, Any] = {
        "TableName": table,
        "Key": key,
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names_in(update, condition),
        "ExpressionAttributeValues": values,
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return Request("update_item", arguments)


def query(  # noqa: PLR0913 - the parts of a query
    table: str,
    condition: str,
    values: Mapping[str, str],
    *,
    index: str | None = None,
    keep: str | None = None,
    only: str | None = None,
    newest_first: bool = False,
) -> Request:
    """Return a query; `keep` is a filter, `only` a projection, both over `#names`."""
    arguments: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names_in(condition, keep or "", only or ""),
        "ExpressionAttributeValues": values_of(values),
    }
    optional = {"IndexName": index, "FilterExpression": keep, "ProjectionExpression": only}
    arguments |= {name: value for name, value in optional.items() if value is not None}
    if newest_first:
        arguments["ScanIndexForward"] = False
    return Request("query", arguments)
