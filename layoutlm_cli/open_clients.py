"""Opens the table and S3 clients that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from receipt_dynamo import DynamoClient
    from run_records.s3_store import S3Store


class Clients(NamedTuple):
    """The table, and S3."""

    client: DynamoClient
    storage: S3Store


def open_clients() -> Clients:
    """Open both.

    Raises:
        SettingsError: no table is named.
    """
    from receipt_dynamo import DynamoClient  # noqa: PLC0415
    from run_records.s3_store import S3Store  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    settings = Settings.from_environ()
    settings.require("table_name")
    client = DynamoClient(
        str(settings.table_name), region=settings.region, endpoint_url=settings.endpoint_url
    )
    return Clients(client, S3Store(settings.allowed_buckets))
