"""One word on a receipt, the unit that is labelled."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Id
from receipt_dynamo.entities.geometry import PlacedText
from receipt_dynamo.entities.record import STRICT


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ReceiptWord(PlacedText):
    """A word; `extracted_data` is what OCR recognised it as, for example a date."""

    TYPE: ClassVar[str] = "RECEIPT_WORD"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id", "receipt_id", "line_id", "word_id"})

    word_id: Id
    extracted_data: dict[str, Any] | None = None
