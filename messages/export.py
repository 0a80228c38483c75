"""The request to export a checkpoint to CoreML, and the result of an export."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from messages.export_options import RANGE, Quantize, ShapesText
from messages.fields import JobName, Message, S3Prefix, Uuid, unit


class ExportJob(Message):
    """A request to turn one checkpoint into a CoreML bundle."""

    export_id: Uuid = Field(description="Id of the export; derived from the queue's message id when absent.")
    job_id: JobName = Field(description="The training's id or, from older senders, its name.")
    model_s3_uri: S3Prefix = Field(description="Folder of the checkpoint.")
    quantize: Quantize = Field("float16", description="Weights of the bundle; null is float32.")
    shapes: ShapesText = Field(
        RANGE,
        json_schema_extra={"default": str(RANGE)},
        description="Token counts that the model takes: range (any of 1..512), fixed:N, or "
        "enum:64,128,256,512 (needs iOS 18). Only a bundle of range becomes the canonical one.",
    )
    output_s3_prefix: S3Prefix = Field(
        description="Folder that the bundle goes to, with or without a trailing slash; other shapes than "
        "range go to a folder of their own below it, such as fixed-128/."
    )

    @property
    def bundle_s3_uri(self) -> str:
        """The bundle's S3 URI; a bundle of other shapes never gets the URI that clients of the range read."""
        return self.output_s3_prefix + (f"{self.shapes.slug}/" if self.shapes != RANGE else "")


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
    canonical_bundle_etag: str | None = Field(
        None,
        description="ETag of that zip as it stands now, without quotes; empty where none lies there.",
    )
    canonical_bundle_replaced: bool | None = Field(
        None, description="Whether that zip is this export's bundle; absent in results of older workers."
    )
    canonical_bundle_kept: str | None = Field(
        None, description="Why the zip that lay there was left as it is, where it was."
    )
    model_size_bytes: int | None = Field(None, ge=0, description="Size of the package in bytes.")
    export_duration_seconds: float | None = Field(None, ge=0, description="Seconds from claim to end.")
    peak_memory_bytes: int | None = Field(
        None, ge=0, description="The most memory that the process held.", json_schema_extra=unit("bytes")
    )
    stage_seconds: dict[str, float] | None = Field(
        None, description="How long each step took.", json_schema_extra=unit("seconds")
    )
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

    def of_training(self, exported_at: str) -> dict[str, Any]:
        """This export's entries in the training's own results, in the names of the contract."""
        return {
            "coreml_export_id": self.export_id,
            "coreml_bundle_s3_uri": self.bundle_s3_uri,
            "coreml_mlpackage_s3_uri": self.mlpackage_s3_uri,
            "coreml_canonical_bundle_s3_uri": self.canonical_bundle_s3_uri,
            "coreml_canonical_bundle_etag": self.canonical_bundle_etag,
            "coreml_canonical_bundle_replaced": self.canonical_bundle_replaced,
            "coreml_model_size_bytes": self.model_size_bytes,
            "coreml_exported_at": exported_at,
        }
