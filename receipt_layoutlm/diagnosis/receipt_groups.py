"""Scores by receipt and by group: merchant, known or not, size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from messages.fields import Message
from receipt_layoutlm.diagnosis.error_cases import ErrorCase, ErrorCases
from receipt_layoutlm.evaluation.entity_scores import EntityCounts, score_counts

SIZES = ((50, "at most 50 words"), (100, "51 to 100 words"), (200, "101 to 200 words"))
_LARGEST = "more than 200 words"
_UNKNOWN = "unknown"


class ReceiptScores(Message):
    """One receipt; rates are of words, scores of entities."""

    receipt: str
    merchant: str | None
    seen: bool | None
    words: int
    lines: int
    entities: int
    found: int
    correct: int
    f1: float
    precision: float
    recall: float
    f1_constrained: float
    token_accuracy: float
    mean_confidence: float
    wrong_words: int


class GroupScores(Message):
    """Receipts with something in common."""

    name: str
    receipts: int
    words: int
    entities: int
    f1: float
    precision: float
    recall: float
    f1_constrained: float


def score_receipts(cases: ErrorCases) -> list[ReceiptScores]:
    """Each receipt, the worst first; of equally bad ones, that with more entities."""
    rows = [_score(cases, index, case) for index, case in enumerate(cases.cases)]
    return sorted(rows, key=lambda row: (row.f1, -row.entities, row.receipt))


def score_groups(cases: ErrorCases) -> dict[str, list[GroupScores]]:
    """Groups by what they have in common; those with the most receipts first."""
    return {name: _score_by(cases, of) for name, of in _GROUPINGS.items()}


def _score_by(cases: ErrorCases, of: Callable[[ErrorCase], str]) -> list[GroupScores]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, case in enumerate(cases.cases):
        members[of(case)].append(index)
    ordered = sorted(members.items(), key=lambda group: (-len(group[1]), group[0]))
    return [_score_group(cases, name, chosen) for name, chosen in ordered]


def _score_group(cases: ErrorCases, name: str, chosen: list[int]) -> GroupScores:
    scores = score_counts(cases.counts_of(chosen).total)
    return GroupScores(
        name=name,
        receipts=len(chosen),
        words=sum(len(cases.cases[index].page.texts) for index in chosen),
        entities=scores.support,
        f1=scores.f1,
        precision=scores.precision,
        recall=scores.recall,
        f1_constrained=_f1(cases.evaluation.constrained_counts.of(chosen)),
    )


def _score(cases: ErrorCases, index: int, case: ErrorCase) -> ReceiptScores:
    correct, found, entities = (int(count) for count in cases.evaluation.counts.by_receipt[index])
    scores = score_counts(cases.evaluation.counts.by_receipt[index])
    words = len(case.page.texts)
    wrong = sum(true != said for true, said in zip(case.page.tags, case.plain, strict=True))
    return ReceiptScores(
        receipt=case.receipt.key,
        merchant=case.merchant,
        seen=case.seen,
        words=words,
        lines=len({word.line_id for word in case.receipt.words}),
        entities=entities,
        found=found,
        correct=correct,
        f1=scores.f1,
        precision=scores.precision,
        recall=scores.recall,
        f1_constrained=_f1(cases.evaluation.constrained_counts.of([index])),
        token_accuracy=(words - wrong) / max(words, 1),
        mean_confidence=float(case.probabilities.max(axis=1).mean()) if words else 0.0,
        wrong_words=wrong,
    )


def _f1(counts: EntityCounts) -> float:
    return score_counts(counts.total).f1


def _merchant(case: ErrorCase) -> str:
    return case.merchant or _UNKNOWN


def _seen(case: ErrorCase) -> str:
    return {True: "seen in training", False: "unseen in training", None: _UNKNOWN}[case.seen]


def _size(case: ErrorCase) -> str:
    words = len(case.page.texts)
    return next((name for most, name in SIZES if words <= most), _LARGEST)


_GROUPINGS: Mapping[str, Callable[[ErrorCase], str]] = {
    "merchant": _merchant,
    "merchant_seen": _seen,
    "size": _size,
}
