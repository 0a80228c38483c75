"""The CoreML export record."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.field_types import Attempt, Count, ExportState, Text, Timestamp, Uuid
from receipt_dynamo.entities.record import CHANGEABLE, Record


@dataclass(slots=True, kw_only=True, config=CHANGEABLE)
class CoreMLExport(Record):
    """An export's request and, once known, its result; `quantize` None means float32."""

    TYPE: ClassVar[str] = "COREML_EXPORT"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"export_id"})
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset(
        {"attempt", "shapes", "peak_memory_bytes", "stage_seconds"}
    )

    export_id: Uuid
    job_id: Uuid
    model_s3_uri: Text
    created_at: Timestamp
    status: ExportState
    quantize: str | None = None
    shapes: str | None = None
    output_s3_prefix: str | None = None
    mlpackage_s3_uri: str | None = None
    bundle_s3_uri: str | None = None
    model_size_bytes: Count | None = None
    export_duration_seconds: Annotated[float, Field(ge=0)] | None = None
    peak_memory_bytes: Count | None = None
    stage_seconds: dict[str, float] = field(default_factory=dict)
    error_message: str | None = None
    updated_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    attempt: Attempt | None = None
