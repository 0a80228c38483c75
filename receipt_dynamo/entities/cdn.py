"""Where the web finds an image or a receipt: the same files in the same sizes, so the same fields."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from receipt_dynamo.entities.fields import Count, Text, Timestamp
from receipt_dynamo.entities.record import STRICT, Record


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
