"""Training and validation receipts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt_layoutlm.data.merchants import seen_merchants
from receipt_layoutlm.data.receipt_table import store_receipts
from receipt_layoutlm.data.receipts import Receipt, hash_keys
from receipt_layoutlm.data.split import draw_merchant_split, draw_split, pin_split
from run_records.errors import DataError
from tests.support.small_receipts import keys_of, make_receipts


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
    for draw in (draw_split, draw_merchant_split):
        with pytest.raises(DataError, match="a split needs two"):
            draw(make_receipts(1), 1)


def of_merchants(*merchants: str | None) -> list[Receipt]:
    """A receipt of each, without words that would name another one."""
    return [
        replace(receipt, words=receipt.words[2:], merchant=merchant)
        for receipt, merchant in zip(make_receipts(len(merchants)), merchants, strict=True)
    ]


@given(
    st.lists(st.sampled_from(["A", "B", "C", "D", "E", "F", "G", "H", None]), min_size=20, max_size=80),
    st.integers(0, 2**32 - 1),
    st.randoms(),
)
def test_a_split_by_merchant_has_no_merchant_on_both_sides(
    merchants: list[str | None], seed: int, random: object
) -> None:
    receipts = of_merchants("X", "Y", *merchants)
    split = draw_merchant_split(receipts, seed)
    assert not {one.merchant for one in split.train} & {one.merchant for one in split.validation} - {None}
    assert {*split.val_keys, *keys_of(split.train)} == set(keys_of(receipts))
    # Two merchants have a single receipt each, so a small validation set can always be filled.
    assert 1 <= len(split.validation) <= max(1, round(len(receipts) / 10))
    assert True not in seen_merchants(split.train, split.validation)
    random.shuffle(receipts)  # type: ignore[attr-defined]
    assert draw_merchant_split(receipts, seed) == split


def test_a_split_by_merchant_holds_out_about_a_tenth() -> None:
    receipts = of_merchants(*(f"shop {number % 50}" for number in range(300)))
    sizes = {len(draw_merchant_split(receipts, seed).validation) for seed in range(10)}
    assert sizes == {30}
    drawn = {draw_merchant_split(receipts, seed).val_hash for seed in range(10)}
    assert len(drawn) == 10, "another seed draws other merchants"


def test_where_every_merchant_has_more_than_a_tenth_the_smallest_is_held_out() -> None:
    split = draw_merchant_split(of_merchants(*"AAAAABBBBCCCC", *"DDD"), 1)
    assert {receipt.merchant for receipt in split.validation} == {"D"}


def test_receipts_whose_merchant_nobody_knows_are_divided_one_by_one() -> None:
    receipts = of_merchants(*"AB", *[None] * 38)
    held_out = [receipt for seed in range(5) for receipt in draw_merchant_split(receipts, seed).validation]
    assert len(held_out) == 20
    assert {receipt.merchant for receipt in held_out} >= {None}


def test_a_split_by_merchant_needs_two_merchants_that_are_known() -> None:
    with pytest.raises(DataError, match="All 3 labelled receipts are of one merchant"):
        draw_merchant_split(of_merchants("A", "a.", "A"), 1)
    with pytest.raises(DataError, match="No merchant is known of any of the 3"):
        draw_merchant_split(of_merchants(None, None, None), 1)


def test_a_split_is_the_same_whatever_the_receipts_lie_in() -> None:
    receipts = of_merchants(*(f"shop {number % 9}" for number in range(40)))
    for draw in (draw_split, draw_merchant_split):
        from_list, from_table = draw(receipts, 3), draw(store_receipts(receipts), 3)
        assert from_table.val_hash == from_list.val_hash
        assert tuple(from_table.train) == from_list.train
        assert tuple(from_table.validation) == from_list.validation


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
