"""What a word means, who said so and whether it was checked."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Id, Text, Timestamp, Uuid, ValidationStatus
from receipt_dynamo.entities.record import STRICT, Record


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ReceiptWordLabel(Record):
    """One label of one word; a word may have several, of which at most one should be VALID."""

    TYPE: ClassVar[str] = "RECEIPT_WORD_LABEL"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id", "receipt_id", "line_id", "word_id", "label"})

    image_id: Uuid
    receipt_id: Id
    line_id: Id
    word_id: Id
    label: Text
    timestamp_added: Timestamp
    validation_status: ValidationStatus = "NONE"
    reasoning: str | None = None
    label_proposed_by: str | None = None
    label_consolidated_from: str | None = None
