"""Reads lists of receipt keys from S3."""

from __future__ import annotations

import json

from run_records.errors import DataError
from run_records.s3_store import S3Store


def read_val_keys(storage: S3Store, uri: str) -> list[str]:
    """Read `{"val_receipt_keys": […]}` or the bare list from S3.

    Raises:
        DataError: the object is missing or is neither.
    """
    return _read_keys(storage, uri, option="val_keys_s3", field="val_receipt_keys")


def read_receipt_keys(storage: S3Store, uri: str) -> list[str]:
    """Read `{"receipt_keys": […]}` or the bare list from S3.

    Raises:
        DataError: the object is missing or is neither.
    """
    return _read_keys(storage, uri, option="receipt_keys_s3", field="receipt_keys")


def _read_keys(storage: S3Store, uri: str, *, option: str, field: str) -> list[str]:
    body = storage.read(uri)
    if body is None:
        raise DataError(f"There is no {uri}. Write the keys of the receipts there, or correct {option}.")
    try:
        data = json.loads(body)
    except ValueError as error:
        raise DataError(f"{uri} is not JSON ({error}). Write the keys of the receipts as JSON.") from error
    keys = data.get(field) if isinstance(data, dict) else data
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise DataError(
            f'{uri} must hold {{"{field}": ["<image_id>#<receipt_id, five digits>", …]}} '
            "or that list alone. Write it so."
        )
    return sorted(set(keys))
