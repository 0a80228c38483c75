"""Divides receipts into training and validation so that no receipt, or no merchant, is on both sides."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from receipt_layoutlm.data.merchants import merchant_of
from receipt_layoutlm.data.receipt_table import receipt_keys, take
from receipt_layoutlm.data.receipts import Receipt, hash_keys
from run_records.errors import DataError

log = logging.getLogger(__name__)

VALIDATION_SHARE = 0.1
_MIN_RECEIPTS = 2

SplitSource = Literal["persisted_val_receipt_keys", "seeded"]


@dataclass(frozen=True, slots=True)
class Split:
    """Both sides, each sorted by key; `missing` counts pinned keys that are not in the data."""

    train: Sequence[Receipt]
    validation: Sequence[Receipt]
    source: SplitSource
    missing: int = 0

    @property
    def val_keys(self) -> tuple[str, ...]:
        """Keys of the validation receipts, sorted."""
        return tuple(receipt_keys(self.validation))

    @property
    def val_hash(self) -> str:
        """The contract's hash of those keys."""
        return hash_keys(self.val_keys)


def draw_split(receipts: Sequence[Receipt], seed: int) -> Split:
    """Draw a tenth of the receipts, at least one, for validation; the same for the same keys and seed.

    Raises:
        DataError: fewer than two receipts.
    """
    keys = sorted(receipt_keys(receipts))
    _check_enough(len(keys))
    random.Random(seed).shuffle(keys)  # noqa: S311 - a seeded draw, not a secret
    return _divide(receipts, keys[: _validation_size(len(keys))], "seeded")


def draw_merchant_split(receipts: Sequence[Receipt], seed: int) -> Split:
    """Draw whole merchants for validation, up to a tenth of the receipts.

    The same for the same keys, merchants and seed.

    A merchant with more than a tenth of the receipts is trained on, unless all have more. A receipt whose
    merchant nobody knows counts as one of its own.

    Raises:
        DataError: fewer than two receipts, or no two merchants.
    """
    groups = _group_by_merchant(receipts)
    _check_enough(len(receipts))
    if len(groups) < _MIN_RECEIPTS:
        raise DataError(
            f"All {len(receipts)} labelled receipts are of one merchant, and a split by merchant needs two. "
            "Validate labels on receipts of others, or pass split_by receipt."
        )
    random.Random(seed).shuffle(groups)  # noqa: S311 - a seeded draw, not a secret
    return _divide(receipts, _fill(groups, _validation_size(len(receipts))), "seeded")


DRAWS: Mapping[str, Callable[[Sequence[Receipt], int], Split]] = MappingProxyType(
    {"receipt": draw_split, "merchant": draw_merchant_split}
)
"""By the option split_by."""


def pin_split(
    receipts: Sequence[Receipt], val_keys: Sequence[str], source: SplitSource, origin: str
) -> Split:
    """Divide by given validation keys; `origin` names where they came from.

    Raises:
        DataError: none of them is in the data, or all of the data is among them.
    """
    split = _divide(receipts, val_keys, source)
    if not split.validation:
        raise DataError(
            f"None of the {len(val_keys)} validation receipts of {origin} is among the {len(receipts)} "
            "labelled ones. Name the split of this table, or pass no_frozen_val to draw one."
        )
    if not split.train:
        raise DataError(
            f"All {len(receipts)} labelled receipts are validation receipts of {origin}, so none is left to "
            "learn from. Validate the labels of others, or pin fewer."
        )
    return split


def _group_by_merchant(receipts: Sequence[Receipt]) -> list[list[str]]:
    """Keys of each merchant's receipts, in an order that does not depend on how the receipts are ordered."""
    by_merchant: defaultdict[str, list[str]] = defaultdict(list)
    unknown: list[str] = []
    for receipt in receipts:
        merchant = merchant_of(receipt)
        (unknown if merchant is None else by_merchant[merchant]).append(receipt.key)
    if not by_merchant:
        raise DataError(
            f"No merchant is known of any of the {len(receipts)} labelled receipts. Validate MERCHANT_NAME "
            "labels, or pass split_by receipt."
        )
    if unknown:
        log.warning("%d of %d receipts have no known merchant", len(unknown), len(receipts))
    return sorted([*map(sorted, by_merchant.values()), *([key] for key in unknown)])


def _fill(groups: Iterable[list[str]], size: int) -> list[str]:
    chosen: list[str] = []
    for group in groups:
        if len(chosen) + len(group) <= size:
            chosen += group
    return chosen or min(groups, key=len)


def _validation_size(receipts: int) -> int:
    return max(1, round(receipts * VALIDATION_SHARE))


def _check_enough(receipts: int) -> None:
    if receipts < _MIN_RECEIPTS:
        raise DataError(
            f"{receipts} receipt has VALID labels, and a split needs two: one to learn from and one to "
            "score on. Validate the labels of more receipts."
        )


def _divide(receipts: Sequence[Receipt], val_keys: Iterable[str], source: SplitSource) -> Split:
    wanted = set(val_keys)
    keys = receipt_keys(receipts)
    ordered = sorted(range(len(keys)), key=keys.__getitem__)
    validation = take(receipts, [index for index in ordered if keys[index] in wanted])
    train = take(receipts, [index for index in ordered if keys[index] not in wanted])
    return Split(train, validation, source, missing=len(wanted) - len(validation))
