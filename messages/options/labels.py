"""Options of the labels: the label set and the merges of labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from messages.fields import LabelName, Message, parse_json_text, split_commas, unit

MergePreset = Literal["amounts", "date_time", "address_phone", "sroie"]


class LabelOptions(Message):
    """Labels, and which of them count as one."""

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
