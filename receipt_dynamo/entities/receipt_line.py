"""One line of text on a receipt."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.geometry import PlacedText
from receipt_dynamo.entities.record import STRICT


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ReceiptLine(PlacedText):
    """A line; its words are `ReceiptWord`s of the same `line_id`."""

    TYPE: ClassVar[str] = "RECEIPT_LINE"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id", "receipt_id", "line_id"})
