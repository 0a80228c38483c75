"""Where the result of one OCR job went."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Count, Text, Timestamp, Uuid
from receipt_dynamo.entities.record import STRICT, Record


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class OCRRoutingDecision(Record):
    """The result file of an OCR job and how many receipts it holds."""

    TYPE: ClassVar[str] = "OCR_ROUTING_DECISION"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id", "job_id"})

    image_id: Uuid
    job_id: Uuid
    s3_bucket: Text
    s3_key: Text
    created_at: Timestamp
    updated_at: Timestamp | None = None
    receipt_count: Count = 0
    status: Text = "PENDING"
