"""Scores as documents hold them: interval, label scores, merchant scores, confusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from messages.fields import Message
from run_records.lenient_model import LenientModel


class Interval(LenientModel):
    """What 95 % of the resamples of a score lie between."""

    low: float
    high: float


Confusion = dict[str, dict[str, int]]
"""True label to the label that words of it were given, to their count; `O` is none, zeros are left out."""


def matrix_of(confusion: Confusion) -> dict[str, Any]:
    """The confusion as the table has it: `labels`, and `matrix` with a row a true label, in their order."""
    labels = list(dict.fromkeys([*confusion, *(said for row in confusion.values() for said in row)]))
    rows = [[confusion.get(true, {}).get(said, 0) for said in labels] for true in labels]
    return {"labels": labels, "matrix": rows}


def confusion_of(value: Mapping[str, Any]) -> Confusion:
    """The confusion of a metric's value: labels and matrix, or what workers before 0.2 wrote, as it is."""
    if set(value) != {"labels", "matrix"}:
        return dict(value)
    labels = value["labels"]
    rows = {
        true: {said: count for said, count in zip(labels, row, strict=False) if count}
        for true, row in zip(labels, value["matrix"], strict=False)
    }
    return {true: row for true, row in rows.items() if row}


class LabelScores(Message):
    """Scores of one label; `support` counts its true entities."""

    f1: float
    precision: float
    recall: float
    support: int


class MerchantScores(Message):
    """Scores of the receipts whose merchants training has seen, or has not."""

    receipts: int
    f1: float
    precision: float
    recall: float
    f1_constrained: float
    support: int
