"""Options of the encoding of receipts; stored in the checkpoint, so that inference encodes the same way."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from messages.fields import Int, Message, unit

Positions = Literal["global", "line_local"]
Boxes = Literal["word", "segment"]

EXAMPLE_UNIT_PATTERN = r"^(receipt|line|lines:[1-9][0-9]?)(,(receipt|line|lines:[1-9][0-9]?))*$"

CLIENT_INPUTS = {"example_unit": "receipt", "positions": "global", "boxes": "word", "line_separators": False}
"""The encoding that clients use for every model, however it was trained."""


class EncodingOptions(Message):
    """What one example is, and what its tokens carry."""

    example_unit: str = Field(
        "receipt",
        pattern=EXAMPLE_UNIT_PATTERN,
        description="What one example is: receipt (windows), line, lines:K, or several with commas.",
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
    positions: Positions = Field(
        "global",
        description="Token positions count through an example, or begin anew with each line.",
        json_schema_extra=unit("name"),
    )
    boxes: Boxes = Field(
        "word",
        description="The box that a token carries: its word's, or that of its whole line (segment).",
        json_schema_extra=unit("name"),
    )
    line_separators: bool = Field(
        False,
        description="Put [SEP] between the lines of an example.",
        json_schema_extra=unit("flag"),
    )

    @property
    def unlike_clients(self) -> list[str]:
        """The options that ask for inputs which the clients in the field do not make."""
        asked = self.model_dump(include=set(CLIENT_INPUTS))
        return [f"{name} {asked[name]}" for name, theirs in CLIENT_INPUTS.items() if asked[name] != theirs]
