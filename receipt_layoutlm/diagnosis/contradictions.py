"""Labels that contradict each other: the same text, labelled one way here and another way everywhere else.

Only texts with letters count: an amount is rightly a total here and a price there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from receipt_layoutlm.data.merchants import normalise_merchant as normalise_text
from receipt_layoutlm.diagnosis.cases import Cases, WordError
from receipt_layoutlm.evaluation.decode import label_of
from run_records.labels import OUTSIDE

LEAST_CONFIDENCE = 0.9
LEAST_RECEIPTS = 3
LEAST_AGREEMENT = 0.8
"""Share of the other receipts' words of that text that have the label which the model says."""
_LEAST_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A word labelled `here`, while its text has the label `elsewhere` on so many other receipts."""

    receipt: str
    text: str
    here: str
    elsewhere: str
    receipts: int


def find_contradictions(cases: Cases) -> list[Contradiction]:
    """Wrong words of which the model says surely what the same text is labelled on other receipts."""
    known = _labels_by_text(cases)
    return [found for error in cases.errors if (found := _contradiction(error, known)) is not None]


def _contradiction(error: WordError, known: dict[str, dict[str, Counter[str]]]) -> Contradiction | None:
    text = normalise_text(error.text)
    here, said = (label_of(tag) or OUTSIDE for tag in (error.gold, error.predicted))
    if here == said or error.confidence < LEAST_CONFIDENCE or not _has_letters(text):
        return None
    others = [labels for receipt, labels in known[text].items() if receipt != error.receipt]
    agreeing = sum(said in labels for labels in others)
    words = sum(labels.total() for labels in others)
    alike = sum(labels[said] for labels in others)
    if agreeing < LEAST_RECEIPTS or alike < LEAST_AGREEMENT * words:
        return None
    return Contradiction(error.receipt, error.text, here, said, agreeing)


def _labels_by_text(cases: Cases) -> dict[str, dict[str, Counter[str]]]:
    """Text to receipt to how often each label stands on it there."""
    known: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for case in cases.cases:
        for text, tag in zip(case.page.texts, case.page.tags, strict=True):
            known[normalise_text(text)][case.receipt.key][label_of(cases.labels.tags[tag]) or OUTSIDE] += 1
    return known


def _has_letters(text: str) -> bool:
    return sum(char.isalpha() for char in text) >= _LEAST_LETTERS
