"""The table, from the definition that the local stack and the tests use."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from receipt_dynamo.table import table_definition, time_to_live
from workers.sqs.queue_definitions import TABLE_NAME


def make_table() -> aws.dynamodb.Table:
    """Make the table; a deployment over an existing one imports it first, as the README says."""
    definition = table_definition(TABLE_NAME)
    expiry = time_to_live(TABLE_NAME)["TimeToLiveSpecification"]
    return aws.dynamodb.Table(
        "table",
        name=definition["TableName"],
        billing_mode=definition["BillingMode"],
        attributes=[
            {"name": given["AttributeName"], "type": given["AttributeType"]}
            for given in definition["AttributeDefinitions"]
        ],
        **_keys(definition["KeySchema"]),
        global_secondary_indexes=[
            {
                "name": index["IndexName"],
                "projection_type": index["Projection"]["ProjectionType"],
                **_keys(index["KeySchema"]),
            }
            for index in definition["GlobalSecondaryIndexes"]
        ],
        ttl={"enabled": expiry["Enabled"], "attribute_name": expiry["AttributeName"]},
        # A key of the account instead of DynamoDB's own: CloudTrail then shows its use.
        server_side_encryption={"enabled": True},
        point_in_time_recovery={"enabled": True},
        deletion_protection_enabled=True,
        # The receipts in it were labelled by hand, and other software writes to it, too.
        opts=pulumi.ResourceOptions(protect=True),
    )


def _keys(schema: list[dict[str, str]]) -> dict[str, str]:
    return {f"{key['KeyType'].lower()}_key": key["AttributeName"] for key in schema}
