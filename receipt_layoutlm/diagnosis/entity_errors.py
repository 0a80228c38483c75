"""Detects entities that were found with other words or as another amount."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from receipt_layoutlm.diagnosis.error_cases import ErrorCase, ErrorCases
from receipt_layoutlm.diagnosis.evidence import LEAST_ERRORS, LEAST_SHARE, FailureMode, most_frequent
from receipt_layoutlm.evaluation.decoding import Span
from run_records.labels import LabelSet

AMOUNTS = frozenset(
    {
        "UNIT_PRICE",
        "LINE_TOTAL",
        "SUBTOTAL",
        "TAX",
        "TIP",
        "GRAND_TOTAL",
        "DISCOUNT",
        "CHANGE",
        "CASH_BACK",
        "REFUND",
        "QUANTITY",
    }
)
"""Labels that only the position on a receipt tells apart: their figures look alike."""
ITEMS = AMOUNTS | {"PRODUCT_NAME"}
"""Labels on the lines of items and sums."""


@dataclass(frozen=True, slots=True)
class StructureError:
    """A true entity that was found with other bounds, or that was given the label of another amount."""

    receipt: str
    label: str
    said: str
    text: str
    kind: Literal["bounds", "amount"]


def line_item_structure(cases: ErrorCases) -> FailureMode | None:
    """Entities on lines of items and sums are lost, because the model mixes up their bounds or amounts."""
    items = names_like(cases.labels, ITEMS)
    found = [error for error in find_structure_errors(cases) if error.label in items]
    lost = _count_lost(cases, items)
    kinds = Counter(error.kind for error in found)
    return _structure_finding(
        found,
        lost,
        mode="line-item structure",
        says=f"{len(found)} of {lost} lost entities on lines of items and sums were seen, but "
        f"{kinds['bounds']} with other bounds and {kinds['amount']} as another amount.",
        advice="Try examples that show more of a receipt at once (example_unit), positions line_local, or "
        "more receipts with such lines.",
    )


def entity_bounds(cases: ErrorCases) -> FailureMode | None:
    """Names, addresses and dates are found, but not where they begin and end."""
    others = frozenset(cases.labels.names) - names_like(cases.labels, ITEMS)
    found = [error for error in find_structure_errors(cases) if error.label in others]
    lost = _count_lost(cases, others)
    return _structure_finding(
        found,
        lost,
        mode="entity bounds",
        says=f"{len(found)} of {lost} lost entities beside those of items and sums were found, but with "
        "other bounds.",
        advice="Decode with the transitions of label_map.json; see whether the labels agree on which words "
        "belong to an entity.",
    )


def _structure_finding(
    found: Sequence[StructureError], lost: int, *, mode: str, says: str, advice: str
) -> FailureMode | None:
    share = len(found) / max(lost, 1)
    if len(found) < LEAST_ERRORS or share < LEAST_SHARE:
        return None
    kinds = Counter(error.kind for error in found)
    return FailureMode(
        mode=mode,
        says=says,
        advice=advice,
        numbers={
            "lost_entities": lost,
            "share_of_lost_entities": share,
            "wrong_bounds": kinds["bounds"],
            "another_amount": kinds["amount"],
        },
        receipts=most_frequent([error.receipt for error in found]),
        examples=most_frequent([f"{error.label} as {error.said}: {error.text}" for error in found]),
    )


def _count_lost(cases: ErrorCases, names: frozenset[str]) -> int:
    return sum(label in names for case in cases.cases for label, _, _ in case.lost)


def names_like(labels: LabelSet, kinds: frozenset[str]) -> frozenset[str]:
    """The labels of a run that are of some kinds, or stand for a label that is."""
    return frozenset(name for name in labels.names if kinds & {name, *labels.merges.get(name, ())})


def find_structure_errors(cases: ErrorCases) -> list[StructureError]:
    """The lost entities of all receipts that were lost in one of the two ways."""
    amounts = names_like(cases.labels, AMOUNTS)
    return [error for case in cases.cases for error in _errors(case, amounts)]


def _errors(case: ErrorCase, amounts: frozenset[str]) -> Iterator[StructureError]:
    for span in case.lost:
        label, start, end = span
        if _overlaps(case, span):
            yield StructureError(case.receipt.key, label, label, _text(case, start, end), "bounds")
            continue
        said = Counter(case.label_at(place) for place in range(start, end)).most_common(1)[0][0]
        if label in amounts and said in amounts:
            yield StructureError(case.receipt.key, label, str(said), _text(case, start, end), "amount")


def _overlaps(case: ErrorCase, span: Span) -> bool:
    label, start, end = span
    return any(name == label and first < end and start < after for name, first, after in case.found_spans)


def _text(case: ErrorCase, start: int, end: int) -> str:
    return " ".join(case.page.texts[start:end])
