"""OCR job and OCR routing decision records."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.field_types import Count, Id, Text, Timestamp, Uuid
from receipt_dynamo.entities.record import STRICT, Record


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class OCRJob(Record):
    """An OCR job; its times carry no zone and mean UTC, and what a first pass does not know is None."""

    TYPE: ClassVar[str] = "OCR_JOB"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id", "job_id"})

    image_id: Uuid
    job_id: Uuid
    s3_bucket: Text
    s3_key: Text
    created_at: Timestamp
    updated_at: Timestamp | None = None
    status: Text = "PENDING"
    job_type: Text = "FIRST_PASS"
    receipt_id: Id | None = None
    refine_merchant_name: str | None = None
    refine_summary: Any = None
    reocr_delta_after: Any = None
    reocr_delta_before: Any = None
    reocr_mechanism: str | None = None
    reocr_reason: str | None = None
    reocr_region: dict[str, Any] | None = None
    reocr_strategy: str | None = None
    reocr_words_accepted: Count | None = None
    reocr_words_rejected: Count | None = None


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
