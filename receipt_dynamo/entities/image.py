"""One photograph or scan, which shows any number of receipts."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.cdn import StoredImage
from receipt_dynamo.entities.fields import Id, Text, Uuid
from receipt_dynamo.entities.record import STRICT


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Image(StoredImage):
    """An image and how many receipts were found on it."""

    TYPE: ClassVar[str] = "IMAGE"
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset({"image_id"})

    image_id: Uuid
    image_type: Text
    receipt_count: Id = 0
