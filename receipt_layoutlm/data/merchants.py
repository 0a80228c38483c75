"""Identifies the merchant of a receipt; a model knows the layout of merchants in its training data."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import dropwhile, takewhile

from receipt_layoutlm.data.receipts import Receipt, Word

_LABEL = "MERCHANT_NAME"
_KEPT = frozenset("LMN")
"""Letters, the marks that belong to them in many scripts, and numbers."""


def merchant_of(receipt: Receipt) -> str | None:
    """The normalised name of a receipt's merchant, for comparisons; None where it is unknown.

    The merchant that the receipt is known to have, else the first unbroken run of its MERCHANT_NAME words: a
    footer that repeats the name is no other merchant.
    """
    name = receipt.merchant or " ".join(word.text for word in _first_run(receipt))
    return normalise_merchant(name) or None


def normalise_merchant(name: str) -> str:
    """Letters and numbers alone, without case, so that SDN. BHD. and Sdn Bhd are one.

    Legal forms stay: "Star (M) Sdn Bhd" and "Star Trading" may well be two.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] in _KEPT)


def seen_merchants(train: Sequence[Receipt], validation: Sequence[Receipt]) -> tuple[bool | None, ...]:
    """For each validation receipt whether training has its merchant; None where that is not known."""
    seen = {merchant_of(receipt) for receipt in train}
    merchants = (merchant_of(receipt) for receipt in validation)
    return tuple(None if merchant is None else merchant in seen for merchant in merchants)


def _first_run(receipt: Receipt) -> list[Word]:
    return list(takewhile(_names_merchant, dropwhile(lambda word: not _names_merchant(word), receipt.words)))


def _names_merchant(word: Word) -> bool:
    return word.label == _LABEL
