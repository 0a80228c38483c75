"""Reading and writing single records, and the updates that a worker fences with its attempt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from receipt_dynamo.entities import CoreMLExport, Job, JobCheckpoint, Record
from receipt_dynamo.entities.record import attribute_names, check_attributes
from receipt_dynamo.errors import InvalidItem
from receipt_dynamo.keys import EXPORT_PK, EXPORT_SK, EXPORT_STATUS, JOB_PK, JOB_SK, JOB_STATUS, LAYOUTS
from receipt_dynamo.operation import Request
from receipt_dynamo.requests.expressions import names_in, update_item, values_of
from receipt_dynamo.types import Item

BATCH_SIZE: Final = 25
"""Most items in one BatchWriteItem."""

_EXISTS: Final = "attribute_exists(#PK)"
_NO_LONGER_BEST: Final = "SET #is_best = :no"
_IS_NEW: Final = "attribute_not_exists(#PK)"
# What is no number is none of ours: a comparison with it would be false for ever.
_NOT_OVERTAKEN: Final = "(NOT attribute_type(#attempt, :number) OR #attempt <= :attempt)"
_PLAIN_NAME: Final = re.compile(r"\w+", re.ASCII)


def job_key(job_id: str) -> Item:
    """Return the primary key of a job."""
    return {"PK": {"S": JOB_PK.build(job_id=job_id)}, "SK": {"S": JOB_SK.build()}}


def metric_key(job_id: str, metric_name: str, timestamp: str) -> Item:
    """Return the primary key of one metric of a job."""
    layout = LAYOUTS["JOB_METRIC"]
    return {
        "PK": {"S": layout["PK"].build(job_id=job_id)},
        "SK": {"S": layout["SK"].build(metric_name=metric_name, timestamp=timestamp)},
    }


def export_key(export_id: str) -> Item:
    """Return the primary key of a CoreML export."""
    return {"PK": {"S": EXPORT_PK.build(export_id=export_id)}, "SK": {"S": EXPORT_SK.build()}}


def get_record(table: str, key: Item) -> Request:
    """Read one record as it stands now."""
    return Request("get_item", {"TableName": table, "Key": key, "ConsistentRead": True})


def add_record(table: str, record: Record) -> Request:
    """Write a record that must not exist yet."""
    return Request(
        "put_item",
        {
            "TableName": table,
            "Item": record.to_item(),
            "ConditionExpression": _IS_NEW,
            "ExpressionAttributeNames": names_in(_IS_NEW),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )


def update_record(table: str, record: Record) -> Request:
    """Set every attribute of an existing record, leaving alone what other software added to its item."""
    update, values = _set_all(record)
    return update_item(table, record.key(), update=update, condition=_EXISTS, values=values)


def move_best(table: str, best: JobCheckpoint, former: JobCheckpoint | None) -> Request:
    """Write a checkpoint's record, new or not, and take `is_best` from a former one, both or neither."""
    update, values = _set_all(best)
    writes = [_transact_update(table, best, update, values)]
    if former is not None:
        writes.append(_transact_update(table, former, _NO_LONGER_BEST, values_of({"no": False}), _EXISTS))
    return Request("transact_write_items", {"TransactItems": writes})


def clear_best(table: str, former: JobCheckpoint) -> Request:
    """Take `is_best` from an existing checkpoint's record."""
    values = values_of({"no": False})
    return update_item(table, former.key(), update=_NO_LONGER_BEST, condition=_EXISTS, values=values)


def _transact_update(
    table: str, record: Record, update: str, values: Item, condition: str | None = None
) -> dict[str, Any]:
    given = {
        "TableName": table,
        "Key": record.key(),
        "UpdateExpression": update,
        "ExpressionAttributeNames": names_in(update, condition or ""),
        "ExpressionAttributeValues": values,
    }
    return {"Update": given if condition is None else {**given, "ConditionExpression": condition}}


def _set_all(record: Record) -> tuple[str, Item]:
    item = {name: value for name, value in record.to_item().items() if name not in {"PK", "SK"}}
    update = "SET " + ", ".join(f"#{name} = :{name}" for name in item)
    absent = [name for name in attribute_names(type(record)) if name not in item]
    if absent:
        update += " REMOVE " + ", ".join(f"#{name}" for name in absent)
    return update, {f":{name}": value for name, value in item.items()}


def delete_record(table: str, record: Record) -> Request:
    """Delete a record that must exist."""
    return Request(
        "delete_item",
        {
            "TableName": table,
            "Key": record.key(),
            "ConditionExpression": _EXISTS,
            "ExpressionAttributeNames": names_in(_EXISTS),
        },
    )


def batch_put(table: str, items: Sequence[Item]) -> list[Request]:
    """Write items unconditionally, 25 a request; of items with the same key the last one counts."""
    # DynamoDB refuses a whole batch that names a key twice.
    puts = [{"PutRequest": {"Item": item}} for item in {_identity(item): item for item in items}.values()]
    return [
        Request("batch_write_item", {"RequestItems": {table: puts[start : start + BATCH_SIZE]}})
        for start in range(0, len(puts), BATCH_SIZE)
    ]


def update_job(  # noqa: PLR0913 - the parts of the write
    table: str,
    job_id: str,
    attributes: Mapping[str, Any],
    *,
    attempt: int | None,
    results: Mapping[str, Any] | None = None,
    merge: bool = True,
) -> Request:
    """Set these attributes of an existing job unless a later attempt has written to it.

    `results` are set one by one into the map that stands there, or with `merge=False` as the map where none
    stands: no single update can do both. `status` may be among the attributes, its index key follows.
    """
    check_attributes(Job, attributes)
    update, condition, values = _fenced(Job, attributes, attempt)
    if "status" in attributes:
        update.append("#GSI1PK = :status_key")
        values["status_key"] = JOB_STATUS.build(status=attributes["status"])
    if results is not None:
        condition += f" AND {'' if merge else 'NOT '}attribute_type(#results, :map)"
        values["map"] = "M"
        update += _set_results(results, values) if merge else ["#results = :results"]
        if not merge:
            values["results"] = results
    return update_item(
        table,
        job_key(job_id),
        update="SET " + ", ".join(update),
        condition=condition,
        values=values_of(values),
    )


def update_export(
    table: str, export_id: str, attributes: Mapping[str, Any], *, attempt: int | None
) -> Request:
    """Set these attributes of an existing CoreML export unless a later attempt has written to it."""
    check_attributes(CoreMLExport, attributes)
    update, condition, values = _fenced(CoreMLExport, attributes, attempt)
    if "status" in attributes:
        update.append("#GSI2PK = :status_key")
        values["status_key"] = EXPORT_STATUS.build(status=attributes["status"])
    return update_item(
        table,
        export_key(export_id),
        update="SET " + ", ".join(update),
        condition=condition,
        values=values_of(values),
    )


def _fenced(
    kind: type[Record], attributes: Mapping[str, Any], attempt: int | None
) -> tuple[list[str], str, dict[str, Any]]:
    fixed = {field for template in LAYOUTS[kind.TYPE].values() for field in template.fields} - {"status"}
    for name in attributes:
        if name in fixed or name in {"attempt", "results"}:
            raise InvalidItem(
                kind.TYPE, "(update)", name, "cannot be set this way; it is part of a key or fenced"
            )
    values = dict(attributes)
    condition = _EXISTS
    if attempt is not None:
        values["attempt"] = attempt
    update = [f"#{name} = :{name}" for name in values]
    if attempt is not None:
        values["number"] = "N"
        condition += f" AND {_NOT_OVERTAKEN}"
    return update, condition, values


def _set_results(results: Mapping[str, Any], values: dict[str, Any]) -> list[str]:
    for name, value in results.items():
        if _PLAIN_NAME.fullmatch(name) is None:
            raise InvalidItem(Job.TYPE, "(update)", f"results.{name}", "must be letters, digits and '_' only")
        values[f"results_{name}"] = value
    return [f"#results.#{name} = :results_{name}" for name in results]


def _identity(item: Item) -> tuple[str, str]:
    return item["PK"]["S"], item["SK"]["S"]
