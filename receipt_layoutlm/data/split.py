"""Divides receipts into training and validation so that no receipt is on both sides."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from receipt_layoutlm.data.receipts import Receipt, hash_keys
from receipt_layoutlm.errors import DataError
from receipt_layoutlm.storage import Storage

VALIDATION_SHARE = 0.1
_MIN_RECEIPTS = 2

SplitSource = Literal["persisted_val_receipt_keys", "seeded"]


@dataclass(frozen=True, slots=True)
class Split:
    """Both sides, each sorted by key; `missing` counts pinned keys that are not in the data."""

    train: tuple[Receipt, ...]
    validation: tuple[Receipt, ...]
    source: SplitSource
    missing: int = 0

    @property
    def val_keys(self) -> tuple[str, ...]:
        """Keys of the validation receipts, sorted."""
        return tuple(receipt.key for receipt in self.validation)

    @property
    def val_hash(self) -> str:
        """The contract's hash of those keys."""
        return hash_keys(self.val_keys)


def draw_split(receipts: Sequence[Receipt], seed: int) -> Split:
    """Draw a tenth of the receipts, at least one, for validation; the same for the same keys and seed.

    Raises:
        DataError: fewer than two receipts.
    """
    if len(receipts) < _MIN_RECEIPTS:
        raise DataError(
            f"{len(receipts)} receipt has VALID labels, and a split needs two: one to learn from and one to "
            "score on. Validate the labels of more receipts."
        )
    keys = sorted(receipt.key for receipt in receipts)
    random.Random(seed).shuffle(keys)  # noqa: S311 - a seeded draw, not a secret
    return _divide(receipts, keys[: max(1, round(len(keys) * VALIDATION_SHARE))], "seeded")


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


def read_val_keys(storage: Storage, uri: str) -> list[str]:
    """Read `{"val_receipt_keys": […]}` or the bare list from S3.

    Raises:
        DataError: the object is missing or is neither.
    """
    body = storage.read(uri)
    if body is None:
        raise DataError(f"There is no {uri}. Write the validation keys there, or correct val_keys_s3.")
    try:
        data = json.loads(body)
    except ValueError as error:
        raise DataError(f"{uri} is not JSON ({error}). Write the validation keys as JSON.") from error
    keys = data.get("val_receipt_keys") if isinstance(data, dict) else data
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise DataError(
            f'{uri} must hold {{"val_receipt_keys": ["<image_id>#<receipt_id, five digits>", …]}} '
            "or that list alone. Write it so."
        )
    return sorted(set(keys))


def _divide(receipts: Sequence[Receipt], val_keys: Sequence[str], source: SplitSource) -> Split:
    wanted = set(val_keys)
    ordered = sorted(receipts, key=lambda receipt: receipt.key)
    validation = tuple(receipt for receipt in ordered if receipt.key in wanted)
    train = tuple(receipt for receipt in ordered if receipt.key not in wanted)
    return Split(train, validation, source, missing=len(wanted) - len(validation))
