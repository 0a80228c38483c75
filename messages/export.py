"""What a request to export says, and what its result says."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from messages.fields import JobName, Message, S3Prefix, Uuid
from messages.quantize import Quantize

ExportStatus = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED"]


class ExportJob(Message):
    """A request to turn one checkpoint into a CoreML bundle."""

    export_id: Uuid = Field(description="Id of the export; derived from the queue's message id when absent.")
    job_id: JobName = Field(description="The training's id or, from older senders, its name.")
    model_s3_uri: S3Prefix = Field(description="Folder of the checkpoint.")
    quantize: Quantize = Field("float16", description="Weights of the bundle; null is float32.")
    output_s3_prefix: S3Prefix = Field(
        description="Folder that the bundle goes to, with or without a trailing slash."
    )


class ExportResult(Message):
    """How an export ended; fields may be added for consumers, none removed."""

    result_id: Uuid = Field(description="The same in every copy of this result: drop what you have seen.")
    export_id: Uuid = Field(description="The export that ended.")
    job_id: str | None = Field(
        None, description="The training, as the request named it, where it could be read."
    )
    status: Literal["SUCCEEDED", "FAILED"] = Field(
        description="How it ended; a cancelled export is FAILED and says so."
    )
    attempt: int = Field(ge=0, description="The attempt that decided it.")
    mlpackage_s3_uri: str | None = Field(None, description="The package inside the bundle's folder.")
    bundle_s3_uri: str | None = Field(None, description="The bundle's folder.")
    canonical_bundle_s3_uri: str | None = Field(None, description="The zip that clients download.")
    canonical_bundle_etag: str | None = Field(None, description="ETag of that zip, without quotes.")
    model_size_bytes: int | None = Field(None, ge=0, description="Size of the package in bytes.")
    export_duration_seconds: float | None = Field(None, ge=0, description="Seconds from claim to end.")
    error_class: str | None = Field(None, description="Kind of the failure.")
    error_message: str | None = Field(None, description="Why it failed and what to do.")

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        needed = (
            (
                "mlpackage_s3_uri",
                "bundle_s3_uri",
                "canonical_bundle_s3_uri",
                "canonical_bundle_etag",
                "model_size_bytes",
            )
            if self.status == "SUCCEEDED"
            else ("error_message",)
        )
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a result that says {self.status} needs {', '.join(missing)}")
        return self
