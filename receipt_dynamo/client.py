"""The client (boto3) of the table for threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from botocore.config import Config
from pydantic.dataclasses import is_pydantic_dataclass, rebuild_dataclass

from receipt_dynamo import entities
from receipt_dynamo.aws_errors import check_answer, translate_errors
from receipt_dynamo.entities import (
    CoreMLExport,
    Image,
    Job,
    JobCheckpoint,
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
from receipt_dynamo.entities.field_types import ValidationStatus
from receipt_dynamo.errors import DynamoError
from receipt_dynamo.operation import Operation, Pause, Request, Response
from receipt_dynamo.operations import job_history, jobs, leases, receipts
from receipt_dynamo.operations.receipts import LabelCounts
from receipt_dynamo.operations.records import adding, adding_many, deleting, updating
from receipt_dynamo.session import new_client

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

P = ParamSpec("P")
T = TypeVar("T")

# Threads that are the first to use a record would build its validator at the same moment, over each other.
for _kind in filter(is_pydantic_dataclass, vars(entities).values()):
    rebuild_dataclass(_kind)


def _threaded(
    operation: Callable[Concatenate[str, P], Operation[T]],
) -> Callable[Concatenate[DynamoClient, P], T]:
    @wraps(operation)
    def method(self: DynamoClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(operation(self.table_name, *args, **kwargs))

    return method


class DynamoClient:
    """One table, usable from many threads at once; what the table or the network refuses is a `DynamoError`.

    Args:
        table_name: the table.
        region: the AWS region; by default what the environment says.
        endpoint_url: another DynamoDB, for example an emulator.
        client: a boto3 DynamoDB client to use instead of making one.
        max_pool_connections: how many threads can have a request under way at once.
    """

    def __init__(
        self,
        table_name: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        client: DynamoDBClient | None = None,
        max_pool_connections: int = 10,
    ) -> None:
        self.table_name = table_name
        with translate_errors(table_name, endpoint_url or "AWS"):
            self._client: Any = client or _connect(region, endpoint_url, max_pool_connections)
        self._requests = 0
        self._counting = threading.Lock()

    @property
    def request_count(self) -> int:
        """The number of requests sent so far, without the retries inside boto3."""
        return self._requests

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def run(self, steps: Operation[T]) -> T:
        """Send what an operation asks for, and return its result."""
        try:
            step = next(steps)
            while True:
                try:
                    response = self._take(step)
                except DynamoError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as finished:
            result: T = finished.value
            return result

    def _take(self, step: Request | Pause) -> Response:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return {}
        with self._counting:
            self._requests += 1
        with translate_errors(self.table_name, self._client.meta.endpoint_url):
            response: Response = getattr(self._client, step.call)(**step.arguments)
            check_answer(step, response)
            return response

    claim_lease = _threaded(leases.claim_lease)
    renew_lease = _threaded(leases.renew_lease)
    release_lease = _threaded(leases.release_lease)
    decide_lease = _threaded(leases.decide_lease)
    close_lease = _threaded(leases.close_lease)
    request_cancel = _threaded(leases.request_cancel)
    get_lease = _threaded(leases.get_lease)
    find_lease = _threaded(leases.find_lease)
    postpone_lease = _threaded(leases.postpone_lease)
    list_leases = _threaded(leases.list_leases)
    offer_lease = _threaded(leases.offer_lease)
    claim_run_name = _threaded(leases.claim_run_name)
    get_run_name = _threaded(leases.get_run_name)

    get_job = _threaded(jobs.get_job)
    get_job_by_name = _threaded(jobs.get_job_by_name)
    list_jobs = _threaded(jobs.list_jobs)
    list_jobs_by_status = _threaded(jobs.list_jobs_by_status)
    get_latest_job_by_status = _threaded(jobs.get_latest_job_by_status)
    update_job_status = _threaded(jobs.update_job_status)
    merge_job_results = _threaded(jobs.merge_job_results)
    get_job_metric = _threaded(job_history.get_job_metric)
    list_job_metrics = _threaded(job_history.list_job_metrics)
    get_metrics_by_name = _threaded(job_history.get_metrics_by_name)
    get_metrics_by_name_across_jobs = _threaded(job_history.get_metrics_by_name_across_jobs)
    list_job_logs = _threaded(job_history.list_job_logs)
    find_job = _threaded(jobs.find_job)
    list_name_holders = _threaded(jobs.list_name_holders)
    get_job_status = _threaded(jobs.get_job_status)
    list_newest_jobs = _threaded(jobs.list_newest_jobs)
    list_job_statuses = _threaded(job_history.list_job_statuses)
    list_job_checkpoints = _threaded(job_history.list_job_checkpoints)
    set_best_job_checkpoint = _threaded(job_history.set_best_job_checkpoint)
    list_last_job_logs = _threaded(job_history.list_last_job_logs)
    get_coreml_export_job = _threaded(jobs.get_coreml_export_job)
    get_coreml_export_jobs_for_job = _threaded(jobs.get_coreml_export_jobs_for_job)
    get_coreml_export_jobs_by_status = _threaded(jobs.get_coreml_export_jobs_by_status)
    update_coreml_export_status = _threaded(jobs.update_coreml_export_status)

    get_receipt_details = _threaded(receipts.get_receipt_details)
    get_image_receipts = _threaded(receipts.get_image_receipts)
    list_receipt_words_from_receipt = _threaded(receipts.list_receipt_words_from_receipt)
    list_receipts = _threaded(receipts.list_receipts)
    list_receipt_keys = _threaded(receipts.list_receipt_keys)
    count_receipts = _threaded(receipts.count_receipts)
    list_receipt_word_labels_with_status = _threaded(receipts.list_receipt_word_labels_with_status)

    @overload
    def count_labels_by_category_and_status(self) -> LabelCounts: ...

    @overload
    def count_labels_by_category_and_status(self, label: str, status: ValidationStatus) -> int: ...

    def count_labels_by_category_and_status(
        self, label: str | None = None, status: ValidationStatus | None = None
    ) -> LabelCounts | int:
        """Count the records of a label that have a validation status; without both, those of each.

        Raises:
            ValueError: only one of them is given.
        """
        if label is None and status is None:
            return self.run(receipts.count_all_labels(self.table_name))
        if label is None or status is None:
            raise ValueError("Give a label and a validation status, or neither for the counts of all.")
        return self.run(receipts.count_labels(self.table_name, label, status))

    add_images = _threaded(adding_many(Image))
    add_receipts = _threaded(adding_many(Receipt))
    add_receipt_lines = _threaded(adding_many(ReceiptLine))
    add_receipt_words = _threaded(adding_many(ReceiptWord))
    add_receipt_word_labels = _threaded(adding_many(ReceiptWordLabel))
    add_job_metrics = _threaded(adding_many(JobMetric))

    add_job = _threaded(adding(Job))
    update_job = _threaded(updating(Job))
    delete_job = _threaded(deleting(Job))

    add_job_metric = _threaded(adding(JobMetric))
    update_job_metric = _threaded(updating(JobMetric))
    delete_job_metric = _threaded(deleting(JobMetric))

    add_job_log = _threaded(adding(JobLog))
    update_job_log = _threaded(updating(JobLog))
    delete_job_log = _threaded(deleting(JobLog))

    add_job_status = _threaded(adding(JobStatus))
    delete_job_status = _threaded(deleting(JobStatus))

    add_job_checkpoint = _threaded(adding(JobCheckpoint))
    update_job_checkpoint = _threaded(updating(JobCheckpoint))
    delete_job_checkpoint = _threaded(deleting(JobCheckpoint))

    add_coreml_export_job = _threaded(adding(CoreMLExport))
    update_coreml_export_job = _threaded(updating(CoreMLExport))
    delete_coreml_export_job = _threaded(deleting(CoreMLExport))

    add_image = _threaded(adding(Image))
    update_image = _threaded(updating(Image))
    delete_image = _threaded(deleting(Image))

    add_receipt = _threaded(adding(Receipt))
    update_receipt = _threaded(updating(Receipt))
    delete_receipt = _threaded(deleting(Receipt))

    add_receipt_line = _threaded(adding(ReceiptLine))
    update_receipt_line = _threaded(updating(ReceiptLine))
    delete_receipt_line = _threaded(deleting(ReceiptLine))

    add_receipt_word = _threaded(adding(ReceiptWord))
    update_receipt_word = _threaded(updating(ReceiptWord))
    delete_receipt_word = _threaded(deleting(ReceiptWord))

    add_receipt_word_label = _threaded(adding(ReceiptWordLabel))
    update_receipt_word_label = _threaded(updating(ReceiptWordLabel))
    delete_receipt_word_label = _threaded(deleting(ReceiptWordLabel))

    add_ocr_job = _threaded(adding(OCRJob))
    update_ocr_job = _threaded(updating(OCRJob))
    delete_ocr_job = _threaded(deleting(OCRJob))

    add_ocr_routing_decision = _threaded(adding(OCRRoutingDecision))
    update_ocr_routing_decision = _threaded(updating(OCRRoutingDecision))
    delete_ocr_routing_decision = _threaded(deleting(OCRRoutingDecision))


def _connect(region: str | None, endpoint_url: str | None, max_pool_connections: int) -> DynamoDBClient:
    config = Config(
        max_pool_connections=max_pool_connections,
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=5,
        read_timeout=15,
    )
    client: DynamoDBClient = new_client(
        "dynamodb", region_name=region, endpoint_url=endpoint_url, config=config
    )
    return client
