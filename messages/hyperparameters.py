"""Every option of a training, in one model for the queue, the command line and the child."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from messages.fields import (
    Float,
    Int,
    LabelName,
    Message,
    S3Location,
    S3Prefix,
    parse_json_text,
    split_commas,
    unit,
)

Precision = Literal["auto", "float32", "bf16", "fp16"]
MergePreset = Literal["amounts", "date_time", "address_phone", "sroie"]

CHECKPOINT_METRIC_PATTERN = r"^(f1|precision|recall|accuracy|loss)$"
MODEL_PATTERN = r"^(scratch:(tiny|small|base)|s3://.+|[A-Za-z0-9./_~-][A-Za-z0-9./_~ -]{0,499})$"


class Hyperparameters(Message):
    """How to train and on what; every option of `layoutlm-cli train`, numbers as numbers or as strings."""

    epochs: Int = Field(
        10, ge=1, le=1000, description="Passes over the training receipts.", json_schema_extra=unit("epochs")
    )
    batch_size: Int = Field(
        8,
        ge=1,
        le=1024,
        description="Windows per optimisation step and device.",
        json_schema_extra=unit("windows"),
    )
    learning_rate: Float = Field(
        5e-5, gt=0, le=1, description="Peak learning rate of AdamW.", json_schema_extra=unit("1/step")
    )
    weight_decay: Float = Field(
        0.01, ge=0, le=1, description="Decoupled weight decay of AdamW.", json_schema_extra=unit("ratio")
    )
    warmup_ratio: Float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of all steps over which the learning rate rises.",
        json_schema_extra=unit("ratio"),
    )
    gradient_accumulation_steps: Int = Field(
        1,
        ge=1,
        le=1024,
        description="Batches summed into one optimisation step.",
        json_schema_extra=unit("batches"),
    )
    max_grad_norm: Float = Field(
        1.0,
        gt=0,
        le=1000,
        description="Gradients are clipped to this L2 norm.",
        json_schema_extra=unit("L2 norm"),
    )
    label_smoothing: Float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Probability mass spread over all tags.",
        json_schema_extra=unit("ratio"),
    )
    early_stopping_patience: Int = Field(
        5,
        ge=0,
        le=1000,
        description="Evaluations without a better checkpoint metric until it stops; 0 never stops.",
        json_schema_extra=unit("evaluations"),
    )
    checkpoint_metric: str = Field(
        "f1",
        pattern=CHECKPOINT_METRIC_PATTERN,
        description="f1, precision, recall, accuracy or loss: what the best checkpoint is best at.",
        json_schema_extra=unit("name"),
    )
    seed: Int = Field(
        42,
        ge=0,
        le=2**32 - 1,
        description="Seed of weights, order, dropout and the validation split.",
        json_schema_extra=unit("integer"),
    )
    precision: Precision = Field(
        "auto",
        description="Arithmetic of training; auto takes bf16 where the hardware has it, else float32.",
        json_schema_extra=unit("name"),
    )
    compile: bool = Field(
        False, description="Compile the model with torch.compile.", json_schema_extra=unit("flag")
    )
    pretrained_model: str = Field(
        "microsoft/layoutlm-base-uncased",
        pattern=MODEL_PATTERN,
        description="Hub name, local folder, s3:// prefix, or scratch:tiny, scratch:small, scratch:base.",
        json_schema_extra=unit("name"),
    )
    max_seq_length: Int = Field(
        512,
        ge=16,
        le=512,
        description="Tokens per window with special ones; a longer window becomes several.",
        json_schema_extra=unit("tokens"),
    )
    window_size: Int = Field(
        200, ge=1, le=500, description="Words per window.", json_schema_extra=unit("words")
    )
    window_stride: Int = Field(
        150,
        ge=1,
        le=500,
        description="Words from one window's start to the next; at most window_size.",
        json_schema_extra=unit("words"),
    )
    o_entity_ratio: Float | None = Field(
        None,
        gt=0,
        le=1000,
        description="At most so many O words per entity word in training; windows without entities go.",
        json_schema_extra=unit("ratio"),
    )
    allowed_labels: Annotated[tuple[LabelName, ...] | None, BeforeValidator(split_commas)] = Field(
        None,
        description="Labels to learn, after merging; null learns all core labels.",
        json_schema_extra=unit("names"),
    )
    merge_amounts: bool = Field(
        False,
        description="Learn LINE_TOTAL, SUBTOTAL, TAX and GRAND_TOTAL as AMOUNT.",
        json_schema_extra=unit("flag"),
    )
    merge_date_time: bool = Field(False, description="Learn TIME as DATE.", json_schema_extra=unit("flag"))
    merge_address_phone: bool = Field(
        False, description="Learn PHONE_NUMBER and ADDRESS_LINE as ADDRESS.", json_schema_extra=unit("flag")
    )
    merge_preset: MergePreset | None = Field(
        None, description="A named set of merges; wins over the three flags.", json_schema_extra=unit("name")
    )
    label_merges: Annotated[
        dict[LabelName, tuple[LabelName, ...]] | None, BeforeValidator(parse_json_text)
    ] = Field(
        None,
        description='Merges as {"TARGET": ["SOURCE", …]}; wins over merge_preset.',
        json_schema_extra=unit("names"),
    )
    val_keys_s3: S3Location | None = Field(
        None, description="JSON in S3 that pins the validation receipts.", json_schema_extra=unit("S3 URI")
    )
    no_frozen_val: bool = Field(
        False,
        description="Accept a drawn validation split, whose scores cannot be compared across data.",
        json_schema_extra=unit("flag"),
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

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.window_stride > self.window_size:
            raise ValueError("window_stride must not exceed window_size: words between windows would be lost")
        if self.val_keys_s3 and self.no_frozen_val:
            raise ValueError("val_keys_s3 and no_frozen_val contradict each other: give one of them")
        sources = [source for group in (self.label_merges or {}).values() for source in group]
        if len(sources) != len(set(sources)):
            raise ValueError("label_merges names a source label twice: a label can become only one other")
        return self
