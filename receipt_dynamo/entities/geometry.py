"""Text found on a receipt: a line and a word lie, read and turn alike."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import BoundingBox, Confidence, Id, Point, Text, Uuid
from receipt_dynamo.entities.record import STRICT, Record


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PlacedText(Record):
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
