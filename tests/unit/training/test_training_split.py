"""Training and validation receipts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt_layoutlm.data.receipts import hash_keys
from receipt_layoutlm.data.split import draw_split, pin_split, read_val_keys
from receipt_layoutlm.errors import DataError
from receipt_layoutlm.storage import Storage
from tests.unit.training.conftest import keys_of, make_receipts


@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.randoms())
def test_a_drawn_split_follows_from_keys_and_seed_and_never_shares_a_receipt(
    count: int, seed: int, random: object
) -> None:
    receipts = make_receipts(count)
    split = draw_split(receipts, seed)
    random.shuffle(receipts)  # type: ignore[attr-defined]
    assert draw_split(receipts, seed) == split
    assert not set(split.val_keys) & set(keys_of(split.train))
    assert {*split.val_keys, *keys_of(split.train)} == set(keys_of(receipts))
    assert len(split.validation) == max(1, round(count / 10))


def test_one_receipt_cannot_be_split() -> None:
    with pytest.raises(DataError, match="a split needs two"):
        draw_split(make_receipts(1), 1)


def test_a_pinned_split_takes_exactly_the_named_receipts_and_counts_those_that_are_missing() -> None:
    receipts = make_receipts(10)
    pinned = [receipts[3].key, receipts[7].key, "gone#00001"]
    split = pin_split(receipts, pinned, "persisted_val_receipt_keys", "here")
    assert list(split.val_keys) == sorted(pinned[:2])
    assert split.missing == 1
    assert split.val_hash == hash_keys(pinned[:2])


def test_a_pinned_split_without_any_known_receipt_is_refused() -> None:
    with pytest.raises(DataError, match="None of the 1 validation receipts of here"):
        pin_split(make_receipts(3), ["gone#00001"], "persisted_val_receipt_keys", "here")


def test_a_pinned_split_that_leaves_nothing_to_learn_from_is_refused() -> None:
    receipts = make_receipts(3)
    with pytest.raises(DataError, match="none is left to learn from"):
        pin_split(receipts, keys_of(receipts), "persisted_val_receipt_keys", "here")


def test_the_hash_of_a_split_is_the_contracts() -> None:
    # printf 'a#00001,b#00002' | sha256sum
    assert hash_keys(["b#00002", "a#00001"]) == "bad22f2ddb5a993d"


def test_validation_keys_are_read_from_an_object_or_a_bare_list(storage: Storage, bucket: str) -> None:
    uri = f"s3://{bucket}/val.json"
    for form in ({"val_receipt_keys": ["b#00001", "a#00001"]}, ["b#00001", "a#00001"]):
        storage.write(uri, json.dumps(form).encode())
        assert read_val_keys(storage, uri) == ["a#00001", "b#00001"]


@pytest.mark.parametrize("body", [b"no", b"{}", b"[]", b"[1]", b'"a"'])
def test_anything_else_as_validation_keys_is_refused(storage: Storage, bucket: str, body: bytes) -> None:
    uri = f"s3://{bucket}/val.json"
    storage.write(uri, body)
    with pytest.raises(DataError, match=r"val\.json"):
        read_val_keys(storage, uri)


def test_missing_validation_keys_are_named(storage: Storage, bucket: str) -> None:
    with pytest.raises(DataError, match="There is no s3://"):
        read_val_keys(storage, f"s3://{bucket}/gone.json")
