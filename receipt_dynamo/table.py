"""The table's definition, used by the local stack, the tests and the infrastructure alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TIME_TO_LIVE_ATTRIBUTE: Final = "time_to_live"

INDEX_KEYS: Final[dict[str, tuple[str, ...]]] = {
    **{f"GSI{n}": (f"GSI{n}PK", f"GSI{n}SK") for n in range(1, 5)},
    "GSITYPE": ("TYPE",),
}
"""Each index's hash key and, where it has one, range key."""


def table_definition(table_name: str) -> dict[str, Any]:
    """Return the arguments of CreateTable."""
    attributes = ["PK", "SK", *(name for names in INDEX_KEYS.values() for name in names)]
    return {
        "TableName": table_name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in attributes],
        "KeySchema": _key_schema("PK", "SK"),
        "GlobalSecondaryIndexes": [
            {"IndexName": index, "KeySchema": _key_schema(*names), "Projection": {"ProjectionType": "ALL"}}
            for index, names in INDEX_KEYS.items()
        ],
    }


def time_to_live(table_name: str) -> dict[str, Any]:
    """Return the arguments of UpdateTimeToLive."""
    specification = {"Enabled": True, "AttributeName": TIME_TO_LIVE_ATTRIBUTE}
    return {"TableName": table_name, "TimeToLiveSpecification": specification}


def create_table(client: DynamoDBClient, table_name: str) -> None:
    """Create the table with a boto3 client, wait until it is active and turn its expiry on."""
    client.create_table(**table_definition(table_name))
    # The waiter's own 20 seconds between looks would slow every test.
    client.get_waiter("table_exists").wait(
        TableName=table_name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    client.update_time_to_live(**time_to_live(table_name))


def _key_schema(*names: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": name, "KeyType": key_type}
        for name, key_type in zip(names, ("HASH", "RANGE"), strict=False)
    ]
