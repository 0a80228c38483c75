"""The asyncio client (aiobotocore) of the table, used by daemons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from receipt_dynamo.aws_errors import check_answer, translate_errors
from receipt_dynamo.clock import TableClock
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

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    operation: Callable[Concatenate[str, P], Operation[T]],
) -> Callable[Concatenate[AsyncDynamoClient, P], Coroutine[Any, Any, T]]:
    @wraps(operation)
    async def method(self: AsyncDynamoClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(operation(self.table_name, *args, **kwargs))

    return method


class AsyncDynamoClient:
    """One table on one event loop; what the table or the network refuses is a `DynamoError`.

    Args:
        table_name: the table.
        client: an open aiobotocore DynamoDB client, which stays the caller's to close.
        clock: learns the table's time from its answers.
    """

    def __init__(self, table_name: str, client: DynamoDBClient, clock: TableClock | None = None) -> None:
        self.table_name = table_name
        self.clock = clock or TableClock()
        self._client: Any = client
        self._requests = 0

    @property
    def request_count(self) -> int:
        """The number of requests sent so far, without the retries inside aiobotocore."""
        return self._requests

    async def run(self, steps: Operation[T]) -> T:
        """Send what an operation asks for, and return its result."""
        try:
            step = next(steps)
            while True:
                try:
                    response = await self._take(step)
                except DynamoError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as finished:
            result: T = finished.value
            return result

    async def _take(self, step: Request | Pause) -> Response:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return {}
        self._requests += 1
        asked_at = self.clock.steady()
        with translate_errors(self.table_name, self._client.meta.endpoint_url):
            response: Response = await getattr(self._client, step.call)(**step.arguments)
            check_answer(step, response)
        self.clock.hear(response["ResponseMetadata"]["HTTPHeaders"].get("date"), asked_at)
        return response

    claim_lease = _awaited(leases.claim_lease)
    renew_lease = _awaited(leases.renew_lease)
    release_lease = _awaited(leases.release_lease)
    decide_lease = _awaited(leases.decide_lease)
    close_lease = _awaited(leases.close_lease)
    request_cancel = _awaited(leases.request_cancel)
    get_lease = _awaited(leases.get_lease)
    find_lease = _awaited(leases.find_lease)
    postpone_lease = _awaited(leases.postpone_lease)
    list_leases = _awaited(leases.list_leases)
    offer_lease = _awaited(leases.offer_lease)
    claim_run_name = _awaited(leases.claim_run_name)
    get_run_name = _awaited(leases.get_run_name)

    get_job = _awaited(jobs.get_job)
    get_job_by_name = _awaited(jobs.get_job_by_name)
    list_jobs = _awaited(jobs.list_jobs)
    list_jobs_by_status = _awaited(jobs.list_jobs_by_status)
    get_latest_job_by_status = _awaited(jobs.get_latest_job_by_status)
    update_job_status = _awaited(jobs.update_job_status)
    merge_job_results = _awaited(jobs.merge_job_results)
    get_job_metric = _awaited(job_history.get_job_metric)
    list_job_metrics = _awaited(job_history.list_job_metrics)
    get_metrics_by_name = _awaited(job_history.get_metrics_by_name)
    get_metrics_by_name_across_jobs = _awaited(job_history.get_metrics_by_name_across_jobs)
    list_job_logs = _awaited(job_history.list_job_logs)
    find_job = _awaited(jobs.find_job)
    list_name_holders = _awaited(jobs.list_name_holders)
    get_job_status = _awaited(jobs.get_job_status)
    list_newest_jobs = _awaited(jobs.list_newest_jobs)
    list_job_statuses = _awaited(job_history.list_job_statuses)
    list_job_checkpoints = _awaited(job_history.list_job_checkpoints)
    set_best_job_checkpoint = _awaited(job_history.set_best_job_checkpoint)
    list_last_job_logs = _awaited(job_history.list_last_job_logs)
    get_coreml_export_job = _awaited(jobs.get_coreml_export_job)
    get_coreml_export_jobs_for_job = _awaited(jobs.get_coreml_export_jobs_for_job)
    get_coreml_export_jobs_by_status = _awaited(jobs.get_coreml_export_jobs_by_status)
    update_coreml_export_status = _awaited(jobs.update_coreml_export_status)

    get_receipt_details = _awaited(receipts.get_receipt_details)
    get_image_receipts = _awaited(receipts.get_image_receipts)
    list_receipt_words_from_receipt = _awaited(receipts.list_receipt_words_from_receipt)
    list_receipts = _awaited(receipts.list_receipts)
    list_receipt_keys = _awaited(receipts.list_receipt_keys)
    count_receipts = _awaited(receipts.count_receipts)
    list_receipt_word_labels_with_status = _awaited(receipts.list_receipt_word_labels_with_status)

    @overload
    async def count_labels_by_category_and_status(self) -> LabelCounts: ...

    @overload
    async def count_labels_by_category_and_status(self, label: str, status: ValidationStatus) -> int: ...

    async def count_labels_by_category_and_status(
        self, label: str | None = None, status: ValidationStatus | None = None
    ) -> LabelCounts | int:
        """Count the records of a label that have a validation status; without both, those of each.

        Raises:
            ValueError: only one of them is given.
        """
        if label is None and status is None:
            return await self.run(receipts.count_all_labels(self.table_name))
        if label is None or status is None:
            raise ValueError("Give a label and a validation status, or neither for the counts of all.")
        return await self.run(receipts.count_labels(self.table_name, label, status))

    add_images = _awaited(adding_many(Image))
    add_receipts = _awaited(adding_many(Receipt))
    add_receipt_lines = _awaited(adding_many(ReceiptLine))
    add_receipt_words = _awaited(adding_many(ReceiptWord))
    add_receipt_word_labels = _awaited(adding_many(ReceiptWordLabel))
    add_job_metrics = _awaited(adding_many(JobMetric))

    add_job = _awaited(adding(Job))
    update_job = _awaited(updating(Job))
    delete_job = _awaited(deleting(Job))

    add_job_metric = _awaited(adding(JobMetric))
    update_job_metric = _awaited(updating(JobMetric))
    delete_job_metric = _awaited(deleting(JobMetric))

    add_job_log = _awaited(adding(JobLog))
    update_job_log = _awaited(updating(JobLog))
    delete_job_log = _awaited(deleting(JobLog))

    add_job_status = _awaited(adding(JobStatus))
    delete_job_status = _awaited(deleting(JobStatus))

    add_job_checkpoint = _awaited(adding(JobCheckpoint))
    update_job_checkpoint = _awaited(updating(JobCheckpoint))
    delete_job_checkpoint = _awaited(deleting(JobCheckpoint))

    add_coreml_export_job = _awaited(adding(CoreMLExport))
    update_coreml_export_job = _awaited(updating(CoreMLExport))
    delete_coreml_export_job = _awaited(deleting(CoreMLExport))

    add_image = _awaited(adding(Image))
    update_image = _awaited(updating(Image))
    delete_image = _awaited(deleting(Image))

    add_receipt = _awaited(adding(Receipt))
    update_receipt = _awaited(updating(Receipt))
    delete_receipt = _awaited(deleting(Receipt))

    add_receipt_line = _awaited(adding(ReceiptLine))
    update_receipt_line = _awaited(updating(ReceiptLine))
    delete_receipt_line = _awaited(deleting(ReceiptLine))

    add_receipt_word = _awaited(adding(ReceiptWord))
    update_receipt_word = _awaited(updating(ReceiptWord))
    delete_receipt_word = _awaited(deleting(ReceiptWord))

    add_receipt_word_label = _awaited(adding(ReceiptWordLabel))
    update_receipt_word_label = _awaited(updating(ReceiptWordLabel))
    delete_receipt_word_label = _awaited(deleting(ReceiptWordLabel))

    add_ocr_job = _awaited(adding(OCRJob))
    update_ocr_job = _awaited(updating(OCRJob))
    delete_ocr_job = _awaited(deleting(OCRJob))

    add_ocr_routing_decision = _awaited(adding(OCRRoutingDecision))
    update_ocr_routing_decision = _awaited(updating(OCRRoutingDecision))
    delete_ocr_routing_decision = _awaited(deleting(OCRRoutingDecision))
