"""One receipt cut out of an image."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.cdn import StoredImage
from receipt_dynamo.entities.fields import Id, Point, Uuid
from receipt_dynamo.entities.record import STRICT


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
