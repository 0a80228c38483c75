"""Brings the table up to export results: for exporters that send a result and write no records themselves.

Our own export worker writes both records before it sends its result. Then nothing is left to do here, and
what it wrote stays as it is.
"""
# ruff: noqa: INP001 - a Lambda's zip holds this file at its top, in no package

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import structlog
from pydantic_core import from_json, to_json

from messages.child_protocol import ErrorClass
from messages.codec import decode_result
from messages.errors import Fault, InvalidMessage
from messages.export import ExportResult
from messages.export_options import RANGE
from messages.fields import derive_id
from receipt_dynamo.client import DynamoClient
from receipt_dynamo.clock import now, read_time, write_time
from receipt_dynamo.entities import CoreMLExport
from receipt_dynamo.errors import ConditionFailed, DynamoError, NotFound
from workers.settings import Settings
from workers.telemetry.logs import configure_logging

RECORDED = (
    "status",
    "mlpackage_s3_uri",
    "bundle_s3_uri",
    "model_size_bytes",
    "export_duration_seconds",
    "error_message",
)
"""What a result and the record of its export have in common."""
OPTIONAL = ("peak_memory_bytes", "stage_seconds")
"""What results of older senders do not say; the record then keeps what it has."""

log = structlog.get_logger(__name__)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Record each result of an SQS batch; returns the messages that SQS has to deliver again.

    What cannot be read, and what names an unknown export, is among them: after the queue's last receive it
    lies in the dead-letter queue, where a person finds it.

    Raises:
        WorkerError: a variable of this Lambda is missing or wrong.
    """
    _ = context
    configure_logging()
    settings = Settings.from_environ()
    settings.require("table_name")
    table = _open_table(str(settings.table_name), settings.region, settings.endpoint_url)
    failed = [message["messageId"] for message in event["Records"] if not _try(table, message)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


@cache
def _open_table(name: str, region: str | None, endpoint_url: str | None) -> DynamoClient:
    """A client takes longer to make than a batch to record; a warm Lambda keeps it."""
    return DynamoClient(name, region=region, endpoint_url=endpoint_url)


def _try(table: DynamoClient, message: Mapping[str, Any]) -> bool:
    said = {"message_id": message["messageId"]}
    try:
        result = read_result(message["body"], message["messageId"])
        became = record(table, result, _sent(message))
        log.info("result processed", export_id=result.export_id, result=became, **said)
    except (InvalidMessage, DynamoError) as error:
        log.error("result left", error_class=type(error).__name__, error=str(error), **said)  # noqa: TRY400 - the sentence says it
        return False
    except Exception:
        # A defect that one result brings out must not have the others of its batch delivered again.
        log.exception("result left: a defect", **said)
        return False
    return True


def read_result(body: str, message_id: str) -> ExportResult:
    """Parse a result; those of older senders lack what we added, those of newer ones may have more.

    Raises:
        InvalidMessage: it is no result of an export.
    """
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError:
        data = None
    if isinstance(data, dict):
        known = {name: value for name, value in data.items() if name in ExportResult.model_fields}
        older = {"result_id": derive_id("export-result", message_id), "attempt": 0}
        body = to_json({**older, **known}).decode()
    result = decode_result(body)
    if not isinstance(result, ExportResult):
        raise InvalidMessage("result", [Fault("status", "is a training's; this queue takes export results")])
    return result


def record(table: DynamoClient, result: ExportResult, sent_at: str) -> str:
    """Bring export and training up to a result, once; returns what it turned out to be.

    Raises:
        NotFound: there is a bundle of an export that the table does not know.
        DynamoError: the table cannot take it now. Repeating all of it is safe.
    """
    if result.error_class == ErrorClass.MESSAGE:
        # It names an export whose proper request may be under way.
        return "of a request that could not be read"
    try:
        export = table.get_coreml_export_job(result.export_id)
    except NotFound:
        if result.status == "SUCCEEDED":
            raise
        return "of a failed export that has no record"  # its training is unknown, too
    if _is_overtaken(export, result, sent_at):
        return "overtaken by a newer one"
    if not _shows(export, result):
        try:
            _write(table, result, sent_at)
        except ConditionFailed:  # meanwhile
            return "overtaken by a newer one"
        export = table.get_coreml_export_job(result.export_id)
    if result.status == "SUCCEEDED" and export.shapes in {None, str(RANGE)}:
        _tell_training(table, export.job_id, result, export.completed_at or sent_at)
    return "recorded"


def _shows(export: CoreMLExport, result: ExportResult) -> bool:
    return all(getattr(export, name) == getattr(result, name) for name in RECORDED)


def _is_overtaken(export: CoreMLExport, result: ExportResult, sent_at: str) -> bool:
    """Whether a later attempt, or of the same one a success or a later result, stands there already."""
    if (export.attempt or 0) != result.attempt:
        return (export.attempt or 0) > result.attempt
    if export.completed_at is None or _shows(export, result):
        return False
    if export.status != result.status:
        return export.status == "SUCCEEDED"
    return read_time(export.completed_at) > read_time(sent_at)


def _write(table: DynamoClient, result: ExportResult, sent_at: str) -> None:
    changes = {name: getattr(result, name) for name in RECORDED if name != "status"}
    changes |= {name: getattr(result, name) for name in OPTIONAL if getattr(result, name) is not None}
    table.update_coreml_export_status(
        result.export_id,
        result.status,
        attempt=result.attempt,
        attributes={"updated_at": now(), "completed_at": sent_at, **changes},
    )


def _tell_training(table: DynamoClient, job_id: str, result: ExportResult, exported_at: str) -> None:
    """Show the bundle among the training's results, unless a later export's stands there."""
    try:
        standing = table.get_job(job_id).results
    except NotFound:
        log.warning("the training of the export is gone", job_id=job_id, export_id=result.export_id)
        return
    shown = result.of_training(exported_at)
    is_older = _is_after(standing.get("coreml_exported_at"), exported_at)
    if not is_older and any(standing.get(name) != value for name, value in shown.items()):
        table.merge_job_results(job_id, shown)


def _is_after(noted: Any, moment: str) -> bool:
    """Whether a moment that the training's results note is later; what is no moment is none of ours."""
    try:
        return isinstance(noted, str) and read_time(noted) > read_time(moment)
    except ValueError:
        return False


def _sent(message: Mapping[str, Any]) -> str:
    """When the result was sent: the same at each delivery, so that two of one export keep their order."""
    stamp = message.get("attributes", {}).get("SentTimestamp")
    return write_time(datetime.fromtimestamp(int(stamp) / 1000, UTC)) if stamp else now()
