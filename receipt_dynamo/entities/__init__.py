"""The records of the table as dataclasses; what does not change while it exists is frozen."""

from receipt_dynamo.entities.exports import CoreMLExport
from receipt_dynamo.entities.jobs import Job, JobCheckpoint, JobLog, JobMetric, JobStatus, RunName
from receipt_dynamo.entities.leases import JobLease
from receipt_dynamo.entities.ocr import OCRJob, OCRRoutingDecision
from receipt_dynamo.entities.receipts import Image, Receipt, ReceiptLine, ReceiptWord, ReceiptWordLabel
from receipt_dynamo.entities.record import Record

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
