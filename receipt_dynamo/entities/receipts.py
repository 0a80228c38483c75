"""Image, receipt, line, word and label records, with their text boxes and stored images."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.field_types import (
    BoundingBox,
    Confidence,
    Count,
    Id,
    Point,
    Text,
    Timestamp,
    Uuid,
    ValidationStatus,
)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class StoredImage(Record):
    """The raw file, its size in pixels and its copies on the CDN; None where there is no copy."""

    width: Count
    height: Count
    timestamp_added: Timestamp
    raw_s3_bucket: Text
    raw_s3_key: Text
    sha256: str | None = None
    cdn_s3_bucket: str | None = None
    cdn_s3_key: str | None = None
    cdn_webp_s3_key: str | None = None
    cdn_avif_s3_key: str | None = None
    cdn_thumbnail_s3_key: str | None = None
    cdn_thumbnail_webp_s3_key: str | None = None
    cdn_thumbnail_avif_s3_key: str | None = None
    cdn_small_s3_key: str | None = None
    cdn_small_webp_s3_key: str | None = None
    cdn_small_avif_s3_key: str | None = None
    cdn_medium_s3_key: str | None = None
    cdn_medium_webp_s3_key: str | None = None
    cdn_medium_avif_s3_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Receipt(StoredImage):
    """A receipt; its corners are 0..1 on the image, origin bottom left."""

    TYPE: ClassVar[str] = "RECEIPT"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id", "receipt_id"})

    image_id: Uuid
    receipt_id: Id
    top_left: Point
    top_right: Point
    bottom_left: Point
    bottom_right: Point


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Image(StoredImage):
    """An image and how many receipts were found on it."""

    TYPE: ClassVar[str] = "IMAGE"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id"})

    image_id: Uuid
    image_type: Text
    receipt_count: Id = 0


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class TextBox(Record):
    """A text with its box and corners, 0..1 on the cropped receipt, origin bottom left."""

    image_id: Uuid
    receipt_id: Id
    line_id: Id
    text: str
    bounding_box: BoundingBox
    top_left: Point
    top_right: Point
    bottom_left: Point
    bottom_right: Point
    angle_degrees: float
    angle_radians: float
    confidence: Confidence
    embedding_status: Text = "NONE"
    is_noise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ReceiptLine(TextBox):
    """A line; its words are `ReceiptWord`s of the same `line_id`."""

    TYPE: ClassVar[str] = "RECEIPT_LINE"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id", "receipt_id", "line_id"})


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ReceiptWord(TextBox):
    """A word; `extracted_data` is what OCR recognised it as, for example a date."""

    TYPE: ClassVar[str] = "RECEIPT_WORD"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id", "receipt_id", "line_id", "word_id"})

    word_id: Id
    extracted_data: dict[str, Any] | None = None
