"""The table: keys, records, requests, and a client for threads and one for asyncio.

`DynamoClient` is imported only when it is asked for, because it brings boto3 along, which a daemon that uses
`receipt_dynamo.async_client.AsyncDynamoClient` does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from receipt_dynamo.entities import (
    CoreMLExport,
    Image,
    Job,
    JobCheckpoint,
    JobLease,
    JobLog,
    JobMetric,
    JobStatus,
    OCRJob,
    OCRRoutingDecision,
    Receipt,
    ReceiptLine,
    ReceiptWord,
    ReceiptWordLabel,
)
from receipt_dynamo.errors import (
    AlreadyExists,
    ClockError,
    ConditionFailed,
    CredentialsError,
    DynamoError,
    Forbidden,
    InvalidItem,
    InvalidSetting,
    InvalidValue,
    ItemTooLarge,
    NetworkError,
    NotFound,
    TableMissing,
    Throttled,
)
from receipt_dynamo.operation import ResultPage
from receipt_dynamo.operations.leases import LeaseRefused
from receipt_dynamo.operations.receipts import ReceiptDetails, ReceiptKey

CoreMLExportJob = CoreMLExport
"""The record under the name that its methods have, too (`add_coreml_export_job`); guides import it so."""

if TYPE_CHECKING:
    from receipt_dynamo.client import DynamoClient

__all__ = [
    "AlreadyExists",
    "ClockError",
    "ConditionFailed",
    "CoreMLExport",
    "CoreMLExportJob",
    "CredentialsError",
    "DynamoClient",
    "DynamoError",
    "Forbidden",
    "Image",
    "InvalidItem",
    "InvalidSetting",
    "InvalidValue",
    "ItemTooLarge",
    "Job",
    "JobCheckpoint",
    "JobLease",
    "JobLog",
    "JobMetric",
    "JobStatus",
    "LeaseRefused",
    "NetworkError",
    "NotFound",
    "OCRJob",
    "OCRRoutingDecision",
    "Receipt",
    "ReceiptDetails",
    "ReceiptKey",
    "ReceiptLine",
    "ReceiptWord",
    "ReceiptWordLabel",
    "ResultPage",
    "TableMissing",
    "Throttled",
]


def __getattr__(name: str) -> object:
    if name == "DynamoClient":
        from receipt_dynamo.client import DynamoClient  # noqa: PLC0415 - see the module's docstring

        return DynamoClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
