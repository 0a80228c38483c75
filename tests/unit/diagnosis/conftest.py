"""Receipts with what a model says of them, written down word by word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np
import pytest

from receipt_layoutlm.data.examples import EncodedPages
from receipt_layoutlm.data.page_layout import lay_out
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.diagnosis.error_cases import ErrorCases, gather_cases
from receipt_layoutlm.evaluation.evaluate import HeldOut, assess
from receipt_layoutlm.evaluation.predict import Predictions
from run_records.labels import LabelSet

LABELS = LabelSet(
    ("MERCHANT_NAME", "DATE", "PRODUCT_NAME", "LINE_TOTAL", "GRAND_TOTAL"), MappingProxyType({})
)

Said = tuple[str, str | None, str]
"""A word on a line of its own: its text, true label, and the tag that the model says."""
Printed = tuple[bool | None, Sequence[Said]]
"""One receipt: whether its merchant was trained on, and its words in reading order."""
MakeCases = Callable[..., ErrorCases]


def make_receipt(number: int, words: Sequence[Said]) -> Receipt:
    """The words from the bottom up, as they are read."""
    printed = tuple(
        Word(len(words) - place, 1, text, (0.1, 0.01 + 0.02 * place, 0.5, 0.02 + 0.02 * place), label)
        for place, (text, label, _) in enumerate(words)
    )
    return Receipt(f"00000000-0000-4000-8000-{number:012d}", 1, printed, f"shop {number % 3}")


def sure_of(words: Sequence[Said], confidence: float) -> np.ndarray:
    """Probabilities [words, tags]: most for the tag that is said, half of the rest for the true one."""
    rest = (1 - confidence) / 2
    rows = np.full((len(words), len(LABELS.tags)), rest / (len(LABELS.tags) - 1))
    true_tags = LABELS.tag_ids(label for _, label, _ in words)
    for row, true, (_, _, tag) in zip(rows, true_tags, words, strict=True):
        row[true] += rest
        row[LABELS.tags.index(tag)] = confidence
    return rows


@pytest.fixture
def make_cases() -> MakeCases:
    def make(
        printed: Sequence[Printed], confidence: float = 0.95, recorded_f1: float | None = None
    ) -> ErrorCases:
        receipts = [make_receipt(number, words) for number, (_, words) in enumerate(printed)]
        seen = tuple(known for known, _ in printed)
        pages = tuple(lay_out(receipt, LABELS) for receipt in receipts)
        said = Predictions(tuple(sure_of(words, confidence) for _, words in printed), 0.1)
        evaluation = assess(HeldOut(LABELS, EncodedPages(pages, (), 0), seen), said)
        return gather_cases(LABELS, receipts, seen, evaluation, recorded_f1)

    return make
