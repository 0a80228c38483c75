"""Options of the data: sources of receipts and the split into training and validation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from messages.fields import Float, Message, S3Location, S3Prefix, unit


class DataOptions(Message):
    """Receipts, and their split."""

    o_entity_ratio: Float | None = Field(
        None,
        gt=0,
        le=1000,
        description="At most so many O words per entity word in training; windows without entities go.",
        json_schema_extra=unit("ratio"),
    )
    split_by: Literal["receipt", "merchant"] = Field(
        "receipt",
        description="What a drawn split keeps on one side: a receipt, or all receipts of a merchant.",
        json_schema_extra=unit("name"),
    )
    val_keys_s3: S3Location | None = Field(
        None, description="JSON in S3 that pins the validation receipts.", json_schema_extra=unit("S3 URI")
    )
    no_frozen_val: bool = Field(
        False,
        description="Accept a drawn validation split, whose scores cannot be compared across data.",
        json_schema_extra=unit("flag"),
    )
    dataset_export_s3: S3Prefix | None = Field(
        None,
        description="Read the receipts from an export of the table to S3 (DynamoDB JSON) instead.",
        json_schema_extra=unit("S3 URI"),
    )
    receipt_keys_s3: S3Location | None = Field(
        None,
        description="JSON in S3 with the keys of the only receipts to use.",
        json_schema_extra=unit("S3 URI"),
    )
    dataset_snapshot_load: S3Location | None = Field(
        None,
        description="Train on the receipts of this snapshot instead of the table's.",
        json_schema_extra=unit("S3 URI"),
    )
    dataset_snapshot_save: S3Location | None = Field(
        None,
        description="Write the receipts of this run to this snapshot.",
        json_schema_extra=unit("S3 URI"),
    )
    resume_from_s3: S3Prefix | None = Field(
        None,
        description="Continue from this checkpoint of another run: weights, optimizer, schedule.",
        json_schema_extra=unit("S3 URI"),
    )
    output_s3_path: S3Prefix | None = Field(
        None,
        description="The run lies in a folder of its name under this prefix; null is runs/ of the bucket.",
        json_schema_extra=unit("S3 URI"),
    )
