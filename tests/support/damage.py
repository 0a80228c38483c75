"""Items as other software leaves them: a stored one changed past every record, straight in the table."""

from __future__ import annotations

from typing import Any

from receipt_dynamo.values import Item
from workers.local import LocalStack


def put_items(stack: LocalStack, *items: Item) -> None:
    """Write items as they are."""
    dynamodb: Any = stack.client("dynamodb")
    for item in items:
        dynamodb.put_item(TableName=stack.environ["DYNAMO_TABLE_NAME"], Item=item)


def damage(stack: LocalStack, key: Item, **changes: Any) -> Item:
    """Give attributes of a stored item these values in DynamoDB JSON, None for none; returns the new item."""
    dynamodb: Any = stack.client("dynamodb")
    found = dynamodb.get_item(TableName=stack.environ["DYNAMO_TABLE_NAME"], Key=key, ConsistentRead=True)
    item: Item = {name: value for name, value in (found["Item"] | changes).items() if value is not None}
    put_items(stack, item)
    return item
