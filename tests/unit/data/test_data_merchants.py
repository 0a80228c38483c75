"""The merchant of a receipt."""

from __future__ import annotations

import pytest

from receipt_layoutlm.data.merchants import merchant_of, normalise_merchant, seen_merchants
from receipt_layoutlm.data.receipts import Receipt, Word


def receipt(*words: tuple[str, str | None], merchant: str | None = None) -> Receipt:
    built = (Word(1, number, text, (0, 0, 1, 1), label) for number, (text, label) in enumerate(words))
    return Receipt("i", 1, tuple(built), merchant)


NAME = "MERCHANT_NAME"


@pytest.mark.parametrize(
    "other",
    [
        "Abc Ho Trading Sdn Bhd",
        "ABC HO TRADING SDN. BHD.",
        "abc-ho  trading, sdn.bhd",
        "\uff21\uff22\uff23 Ho Trading SDN BHD",
    ],
)
def test_case_punctuation_and_spaces_make_no_other_merchant(other: str) -> None:
    assert normalise_merchant(other) == normalise_merchant("ABC HO TRADING SDN BHD")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Star (M) Sdn Bhd", "Star Sdn Bhd"),
        ("Star Ltd", "Star"),
        ("7-Eleven", "Eleven"),
        ("की", "का"),
        ("كتاب", "كتب"),
    ],
)
def test_another_legal_form_number_or_letter_is_another_merchant(one: str, other: str) -> None:
    assert normalise_merchant(one) != normalise_merchant(other)


def test_the_known_merchant_wins_over_the_words() -> None:
    assert merchant_of(receipt(("Words", NAME), merchant="Known Ltd.")) == "knownltd"


def test_a_name_that_stands_on_the_receipt_twice_is_one_name() -> None:
    printed = receipt(
        ("No", None), ("CORNER", NAME), ("SHOP", NAME), ("Milk", None), ("CORNER", NAME), ("SHOP", NAME)
    )
    assert merchant_of(printed) == "cornershop"


@pytest.mark.parametrize("words", [(), (("Milk", "PRODUCT_NAME"),), (("***", NAME),)])
def test_without_a_name_nobody_knows_the_merchant(words: tuple[tuple[str, str | None], ...]) -> None:
    assert merchant_of(receipt(*words)) is None


def test_seen_says_for_each_validation_receipt_whether_training_has_its_merchant() -> None:
    train = [receipt(merchant="A"), receipt(merchant="B"), receipt()]
    validation = [receipt(merchant="b."), receipt(("C", NAME)), receipt(), receipt(("A", NAME))]
    assert seen_merchants(train, validation) == (True, False, None, True)
