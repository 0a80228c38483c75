"""An export of a table to S3 as DynamoDB writes one: two manifests, and gzips of JSON lines."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from receipt_dynamo.types import Item
from run_records.s3_store import S3Store

KEY_PREFIX = "exports/AWSDynamoDB/01693685827463-2d8752fd/"


def export_items(storage: S3Store, bucket: str, items: Sequence[Item], files: int = 3, **summary: Any) -> str:
    """Write an export with its items in turn over so many files and one that is empty; returns its prefix."""
    prefix = f"s3://{bucket}/{KEY_PREFIX}"
    entries = []
    for number in range(files + 1):
        part = items[number::files] if number < files else []
        body = gzip.compress(b"".join(json.dumps({"Item": item}).encode() + b"\n" for item in part))
        name = f"data/f{number:04d}.json.gz"
        storage.write(prefix + name, body)
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        entries.append(
            {
                "itemCount": len(part),
                "md5Checksum": base64.b64encode(md5).decode(),
                "etag": f"{md5.hex()}-1",
                "dataFileS3Key": KEY_PREFIX + name,
            }
        )
    write_manifests(storage, prefix, entries, **summary)
    return prefix


def write_manifests(storage: S3Store, prefix: str, entries: list[dict[str, Any]], **summary: Any) -> None:
    """Write both manifests; `summary` replaces what the first one says."""
    said = {
        "version": "2023-08-01",
        "exportArn": "arn:aws:dynamodb:us-east-1:123456789012:table/receipts/export/01693685827463-2d8752fd",
        "exportTime": "2026-11-20T07:28:34.028Z",
        "s3Bucket": prefix.split("/")[2],
        "s3Prefix": "exports",
        "manifestFilesS3Key": KEY_PREFIX + "manifest-files.json",
        "itemCount": sum(entry["itemCount"] for entry in entries),
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
        **summary,
    }
    storage.write(prefix + "manifest-summary.json", json.dumps(said).encode())
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    storage.write(prefix + "manifest-files.json", lines.encode())
