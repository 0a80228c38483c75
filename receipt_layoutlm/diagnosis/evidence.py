"""The `FailureMode` record and the thresholds of evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from messages.fields import Message

LEAST_RECEIPTS = 5
LEAST_ENTITIES = 10
LEAST_ERRORS = 5
LEAST_SHARE = 0.2
"""Least share of the lost entities that a failure mode must explain."""
LOW_F1 = 0.5
"""F1 below which a label is weak, however bad the others are."""
NAMED = 5
"""Receipts and examples that a finding names at most."""


class FailureMode(Message):
    """A failure mode with its evidence.

    Attributes:
        mode: its name.
        says: what was found, in a sentence or two.
        advice: what to do about it.
        numbers: what it was found by.
        receipts: keys of receipts to look at.
        examples: words or labels that show it.
    """

    mode: str
    says: str
    advice: str
    numbers: dict[str, int | float]
    receipts: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


def most_frequent(values: Sequence[str]) -> tuple[str, ...]:
    """A few of some values, the most frequent first."""
    ordered = sorted(Counter(values).items(), key=lambda one: (-one[1], one[0]))
    return tuple(value for value, _ in ordered[:NAMED])
