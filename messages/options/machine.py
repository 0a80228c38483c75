"""Options of the initial model, precision and memory."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from messages.fields import Int, Message, unit

Precision = Literal["auto", "float32", "bf16", "fp16"]

MODEL_PATTERN = r"^(scratch:(tiny|small|base)|s3://.+|[A-Za-z0-9./_~-][A-Za-z0-9./_~ -]{0,499})$"


class MachineOptions(Message):
    """The model to start from, and how its arithmetic is done."""

    pretrained_model: str = Field(
        "microsoft/layoutlm-base-uncased",
        pattern=MODEL_PATTERN,
        description="Hub name, local folder, s3:// prefix, or scratch:tiny, scratch:small, scratch:base.",
        json_schema_extra=unit("name"),
    )
    precision: Precision = Field(
        "auto",
        description="Arithmetic of training; auto takes bf16 where the hardware has it, else float32.",
        json_schema_extra=unit("name"),
    )
    compile: bool = Field(
        False, description="Compile the model with torch.compile.", json_schema_extra=unit("flag")
    )
    attention: Literal["auto", "eager", "sdpa"] = Field(
        "auto",
        description="Kernel of attention; auto takes what is faster on this hardware.",
        json_schema_extra=unit("name"),
    )
    gradient_checkpointing: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Recompute activations to save memory; auto does so only where a batch would not fit.",
        json_schema_extra=unit("name"),
    )
    packing: bool = Field(
        False,
        description="Put several windows into one row, each blind to the others, instead of padding.",
        json_schema_extra=unit("flag"),
    )
    vocabulary_subset: bool = Field(
        True,
        description="Train only the embeddings of tokens that the data has, and merge them back at the end.",
        json_schema_extra=unit("flag"),
    )
    dataloader_workers: Int = Field(
        0,
        ge=0,
        le=64,
        description="Processes that prepare batches beside the training.",
        json_schema_extra=unit("processes"),
    )
