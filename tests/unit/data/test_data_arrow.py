"""Receipts in Arrow's columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from receipt_layoutlm.data.dataset_hash import count_labels, count_words, hash_receipts
from receipt_layoutlm.data.receipt_table import (
    ROWS,
    ReceiptTable,
    as_table,
    receipt_keys,
    store_receipts,
    take,
    to_batches,
)
from receipt_layoutlm.data.receipts import Receipt, Word
from tests.support.small_receipts import keys_of, make_receipts

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
EDGES = st.floats(allow_nan=False)
WORDS = st.builds(
    Word,
    st.integers(0, 99_999),
    st.integers(0, 99_999),
    TEXTS,
    st.tuples(EDGES, EDGES, EDGES, EDGES),
    st.none() | TEXTS,
)
RECEIPTS = st.builds(
    Receipt,
    TEXTS,
    st.integers(0, 99_999),
    st.lists(WORDS, max_size=4).map(tuple),
    st.none() | TEXTS,
)


@given(st.lists(RECEIPTS, max_size=6))
def test_any_receipts_come_back_as_they_went_in(receipts: list[Receipt]) -> None:
    stored = store_receipts(receipts)
    assert list(stored) == receipts
    assert [stored[index] for index in range(-len(receipts), 0)] == receipts
    assert stored.keys == keys_of(receipts)
    assert hash_receipts(stored) == hash_receipts(receipts)
    assert count_words(stored) == sum(len(receipt.words) for receipt in receipts)


def test_more_receipts_than_a_batch_holds_are_found_at_their_places(tmp_path: Path) -> None:
    [one] = make_receipts(1)
    receipts = [Receipt(f"{number:05d}", 1, one.words[: number % 3]) for number in range(ROWS + 5)]
    stored = store_receipts(receipts, tmp_path)
    for index in (0, ROWS - 1, ROWS, ROWS + 4, -1):
        assert stored[index] == receipts[index]
    places = [ROWS + 1, 3, ROWS - 1, ROWS, 0]
    chosen = take(stored, places)
    assert isinstance(chosen, ReceiptTable)
    assert list(chosen) == [receipts[place] for place in places]
    assert list(chosen[1:3]) == [receipts[3], receipts[ROWS - 1]]
    assert list(chosen.take([4, 0])) == [receipts[0], receipts[ROWS + 1]]
    assert receipt_keys(chosen) == [receipts[place].key for place in places]
    assert hash_receipts(chosen) == hash_receipts([receipts[place] for place in places])
    assert not list(tmp_path.iterdir()), "the file's name is gone while it is used"


def test_receipts_are_taken_a_batch_at_a_time() -> None:
    [one] = make_receipts(1)
    taken: list[int] = []

    def give() -> Iterator[Receipt]:
        for number in range(3 * ROWS):
            taken.append(number)
            yield Receipt(f"{number:05d}", 1, one.words)

    batches = to_batches(give())
    assert [next(batches).num_rows, len(taken)] == [ROWS, ROWS]
    assert [next(batches).num_rows, len(taken)] == [ROWS, 2 * ROWS]


def test_the_hash_depends_on_the_receipts_and_their_order_and_on_nothing_else() -> None:
    receipts = make_receipts(5)
    wanted = hash_receipts(receipts)
    halves = [batch for part in (receipts[:2], receipts[2:]) for batch in as_table(part).batches()]
    assert hash_receipts(ReceiptTable(halves)) == wanted
    assert hash_receipts(receipts[::-1]) != wanted


def test_equal_receipts_have_one_hash_whatever_type_their_numbers_have() -> None:
    whole, fraction = (
        [Receipt("a", 1, (Word(1, 1, "x", box),))] for box in ((0, 0, 1, 1), (-0.0, 0.0, 1.0, 1.0))
    )
    assert whole == fraction
    assert hash_receipts(whole) == hash_receipts(fraction)


def test_nothing_and_an_empty_text_have_different_hashes() -> None:
    words = [(Word(1, 1, "x", (0, 0, 1, 1), label),) for label in (None, "")]
    receipts = [Receipt("a", 1, part, merchant) for part in words for merchant in (None, "")]
    assert len({hash_receipts([receipt]) for receipt in receipts}) == 4


def test_it_matters_on_which_receipt_a_word_is() -> None:
    words = tuple(Word(1, number, "x", (0, 0, 1, 1)) for number in range(3))
    divided = [[Receipt("a", 1, words[:at]), Receipt("b", 1, words[at:])] for at in range(4)]
    assert len({hash_receipts(receipts) for receipts in divided}) == 4


@given(RECEIPTS, RECEIPTS)
def test_receipts_that_differ_have_different_hashes(one: Receipt, other: Receipt) -> None:
    assert (hash_receipts([one]) == hash_receipts([other])) == (one == other)


def test_labels_are_counted_by_name_without_words_that_have_none() -> None:
    receipts = make_receipts(3)
    assert count_labels(receipts) == count_labels(store_receipts(receipts))
    assert count_labels(receipts)["MERCHANT_NAME"] == 6
    assert sum(count_labels(receipts).values()) == sum(
        word.label is not None for receipt in receipts for word in receipt.words
    )
