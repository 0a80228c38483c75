"""The queries behind every list call: which index, which keys, which order."""

from __future__ import annotations

from receipt_dynamo import keys
from receipt_dynamo.operation import Request
from receipt_dynamo.requests.expressions import query


def of_type(table: str, record_type: str, *, only: str | None = None) -> Request:
    """Find every record of one TYPE, in no order."""
    return query(table, "#TYPE = :type", {"type": record_type}, index="GSITYPE", only=only)


def jobs_by_name(table: str, name: str) -> Request:
    """Find the jobs of one name, newest first."""
    return query(
        table,
        "#GSI2PK = :name AND begins_with(#GSI2SK, :created)",
        {"name": keys.JOB_NAME.build(name=name), "created": keys.CREATED_PREFIX},
        index="GSI2",
        newest_first=True,
    )


def jobs_by_status(
    table: str, status: str, *, newest_first: bool = False, before: str | None = None
) -> Request:
    """Find the jobs of one status, made before a time if given; the partition's JOB_STATUS sort elsewhere."""
    values = {"status": keys.JOB_STATUS.build(status=status), "created": keys.CREATED_PREFIX, "type": "JOB"}
    within = "begins_with(#GSI1SK, :created)"
    if before is not None:
        # Nothing in the partition sorts before them.
        del values["created"]
        values["end"] = f"{keys.CREATED_PREFIX}{before}"
        within = "#GSI1SK < :end"
    return query(
        table,
        f"#GSI1PK = :status AND {within}",
        values,
        index="GSI1",
        keep="#TYPE = :type",
        newest_first=newest_first,
    )


def job_metrics(table: str, job_id: str, metric_name: str | None) -> Request:
    """Find a job's metrics, all or those of one name, by name and time."""
    prefix = (
        keys.METRIC_PREFIX if metric_name is None else keys.METRICS_OF_NAME.build(metric_name=metric_name)
    )
    return in_partition(table, keys.JOB_PK.build(job_id=job_id), prefix)


def job_logs(table: str, job_id: str, *, newest_first: bool = False) -> Request:
    """Find a job's log, by time."""
    partition = keys.JOB_PK.build(job_id=job_id)
    return in_partition(table, partition, keys.LOG_PREFIX, newest_first=newest_first)


def job_statuses(table: str, job_id: str) -> Request:
    """Find the changes of a job's status, oldest first."""
    return in_partition(table, keys.JOB_PK.build(job_id=job_id), keys.STATUS_PREFIX)


def job_checkpoints(table: str, job_id: str) -> Request:
    """Find the records of a job's checkpoints, oldest first."""
    return in_partition(table, keys.JOB_PK.build(job_id=job_id), keys.CHECKPOINT_PREFIX)


def metrics_by_name(table: str, metric_name: str) -> Request:
    """Find the metrics of one name, by time."""
    name = keys.METRIC_NAME.build(metric_name=metric_name)
    return query(table, "#GSI1PK = :name", {"name": name}, index="GSI1")


def metrics_by_name_across_jobs(table: str, metric_name: str) -> Request:
    """Find the metrics of one name, by job and within a job by time."""
    name = keys.METRIC_NAME.build(metric_name=metric_name)
    return query(table, "#GSI2PK = :name", {"name": name}, index="GSI2")


def exports_for_job(table: str, job_id: str) -> Request:
    """Find the CoreML exports of one job."""
    return query(
        table,
        "#GSI1PK = :job AND begins_with(#GSI1SK, :export)",
        {"job": keys.JOB_PK.build(job_id=job_id), "export": keys.EXPORT_PREFIX},
        index="GSI1",
    )


def exports_by_status(table: str, status: str) -> Request:
    """Find the CoreML exports of one status."""
    name = keys.EXPORT_STATUS.build(status=status)
    return query(table, "#GSI2PK = :status", {"status": name}, index="GSI2")


def receipt_contents(table: str, image_id: str, receipt_id: int) -> Request:
    """Find a receipt with its lines, words and labels."""
    prefix = keys.RECEIPT_SK.build(receipt_id=receipt_id)
    return in_partition(table, keys.IMAGE_PK.build(image_id=image_id), prefix)


def image_contents(table: str, image_id: str) -> Request:
    """Find every receipt of an image with its lines, words and labels."""
    return in_partition(table, keys.IMAGE_PK.build(image_id=image_id), keys.RECEIPT_PREFIX)


def words_of_receipt(table: str, image_id: str, receipt_id: int) -> Request:
    """Find a receipt's words in reading order of their ids."""
    prefix = keys.LINES_OF_RECEIPT.build(receipt_id=receipt_id)
    partition = keys.IMAGE_PK.build(image_id=image_id)
    return in_partition(table, partition, prefix, record_type="RECEIPT_WORD")


def labels_with_status(table: str, status: str, *, only: str | None = None) -> Request:
    """Find the labels of one validation status."""
    name = keys.VALIDATION_STATUS.build(validation_status=status)
    return query(table, "#GSI3PK = :status", {"status": name}, index="GSI3", only=only)


def labels_of_status(table: str, label: str, status: str) -> Request:
    """Count the records of one label that have one validation status."""
    name = keys.LAYOUTS["RECEIPT_WORD_LABEL"]["GSI1PK"].build(label=label)
    request = query(
        table,
        "#GSI1PK = :label",
        {"label": name, "status": status},
        index="GSI1",
        keep="#validation_status = :status",
    )
    return Request(request.call, {**request.arguments, "Select": "COUNT"})


def count_of_type(table: str, record_type: str) -> Request:
    """Count the records of one TYPE without reading them out."""
    request = of_type(table, record_type)
    return Request(request.call, {**request.arguments, "Select": "COUNT"})


def in_partition(
    table: str,
    partition: str,
    prefix: str,
    *,
    record_type: str | None = None,
    newest_first: bool = False,
) -> Request:
    """Find what one partition holds under a prefix of its range key, optionally of one TYPE only."""
    values = {"partition": partition, "prefix": prefix}
    condition = "#PK = :partition AND begins_with(#SK, :prefix)"
    if record_type is None:
        return query(table, condition, values, newest_first=newest_first)
    kept = {**values, "type": record_type}
    return query(table, condition, kept, keep="#TYPE = :type", newest_first=newest_first)
