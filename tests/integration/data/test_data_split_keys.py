"""Lists of receipt keys in S3."""

from __future__ import annotations

import json

import pytest

from receipt_layoutlm.data.receipt_key_lists import read_receipt_keys, read_val_keys
from run_records.errors import DataError
from run_records.s3_store import S3Store


def test_validation_keys_are_read_from_an_object_or_a_bare_list(storage: S3Store, bucket: str) -> None:
    uri = f"s3://{bucket}/val.json"
    for form in ({"val_receipt_keys": ["b#00001", "a#00001"]}, ["b#00001", "a#00001"]):
        storage.write(uri, json.dumps(form).encode())
        assert read_val_keys(storage, uri) == ["a#00001", "b#00001"]


def test_the_receipts_to_use_are_listed_in_the_same_two_forms(storage: S3Store, bucket: str) -> None:
    uri = f"s3://{bucket}/use.json"
    for form in ({"receipt_keys": ["b#00001", "a#00001", "a#00001"]}, ["b#00001", "a#00001"]):
        storage.write(uri, json.dumps(form).encode())
        assert read_receipt_keys(storage, uri) == ["a#00001", "b#00001"]
    storage.write(uri, b'{"val_receipt_keys": ["a#00001"]}')
    with pytest.raises(DataError, match=r'use\.json must hold {"receipt_keys": '):
        read_receipt_keys(storage, uri)
    with pytest.raises(DataError, match=r"There is no s3://.* or correct receipt_keys_s3\."):
        read_receipt_keys(storage, f"s3://{bucket}/gone.json")


@pytest.mark.parametrize("body", [b"no", b"{}", b"[]", b"[1]", b'"a"'])
def test_anything_else_as_validation_keys_is_refused(storage: S3Store, bucket: str, body: bytes) -> None:
    uri = f"s3://{bucket}/val.json"
    storage.write(uri, body)
    with pytest.raises(DataError, match=r"val\.json"):
        read_val_keys(storage, uri)


def test_missing_validation_keys_are_named(storage: S3Store, bucket: str) -> None:
    with pytest.raises(DataError, match="There is no s3://"):
        read_val_keys(storage, f"s3://{bucket}/gone.json")
