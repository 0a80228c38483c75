"""Scores as documents hold them: interval, label scores, merchant scores, confusion."""

from __future__ import annotations

from messages.fields import Message
from run_records.lenient_model import LenientModel


class Interval(LenientModel):
    """What 95 % of the resamples of a score lie between."""

    low: float
    high: float


Confusion = dict[str, dict[str, int]]
"""True label to the label that words of it were given, to their count; `O` is none, zeros are left out."""


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
