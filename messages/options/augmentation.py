"""Changes to training receipts that do not change what their words mean."""

from __future__ import annotations

from pydantic import Field

from messages.fields import Float, Message, unit


class AugmentationOptions(Message):
    """Each with its probability; what is held out stays as it is."""

    augment_shift: Float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that a training receipt is moved, by at most 50 of 1000.",
        json_schema_extra=unit("probability"),
    )
    augment_scale: Float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that a training receipt is scaled, each axis by at most 10 %.",
        json_schema_extra=unit("probability"),
    )
    augment_skew: Float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that a training receipt is skewed, by at most 2 degrees.",
        json_schema_extra=unit("probability"),
    )
    augment_mask_tokens: Float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability of each training token to become [MASK].",
        json_schema_extra=unit("probability"),
    )
    augment_names: Float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability of each training entity to take words of other entities of its label.",
        json_schema_extra=unit("probability"),
    )
    augment_digits: Float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability of each training word to have its digits replaced by random ones.",
        json_schema_extra=unit("probability"),
    )
    augment_characters: Float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability of each training word to have a character misread, lost or doubled.",
        json_schema_extra=unit("probability"),
    )
    augment_drop_lines: Float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability of each line without labels to be left out of a training receipt.",
        json_schema_extra=unit("probability"),
    )
