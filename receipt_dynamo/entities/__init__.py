"""The records of the table, one frozen dataclass per file."""

from receipt_dynamo.entities.coreml_export import CoreMLExport
from receipt_dynamo.entities.image import Image
from receipt_dynamo.entities.job import Job
from receipt_dynamo.entities.job_checkpoint import JobCheckpoint
from receipt_dynamo.entities.job_lease import JobLease
from receipt_dynamo.entities.job_log import JobLog
from receipt_dynamo.entities.job_metric import JobMetric
from receipt_dynamo.entities.job_status import JobStatus
from receipt_dynamo.entities.ocr_job import OCRJob
from receipt_dynamo.entities.ocr_routing_decision import OCRRoutingDecision
from receipt_dynamo.entities.receipt import Receipt
from receipt_dynamo.entities.receipt_line import ReceiptLine
from receipt_dynamo.entities.receipt_word import ReceiptWord
from receipt_dynamo.entities.receipt_word_label import ReceiptWordLabel
from receipt_dynamo.entities.record import Record
from receipt_dynamo.entities.run_name import RunName

__all__ = [
    "CoreMLExport",
    "Image",
    "Job",
    "JobCheckpoint",
    "JobLease",
    "JobLog",
    "JobMetric",
    "JobStatus",
    "OCRJob",
    "OCRRoutingDecision",
    "Receipt",
    "ReceiptLine",
    "ReceiptWord",
    "ReceiptWordLabel",
    "Record",
    "RunName",
]
