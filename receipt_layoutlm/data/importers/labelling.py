"""Turns the annotated fields of a SROIE receipt into labels of its words, and counts where that failed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from receipt_layoutlm.data.draft import DraftLine, DraftReceipt
from receipt_layoutlm.data.importers.dates import find_date
from receipt_layoutlm.data.importers.phrases import Spot, find_phrase
from receipt_layoutlm.data.importers.sroie import FIELDS, SroieReceipt, read_sroie, repaired, split_line
from receipt_layoutlm.data.importers.totals import find_total

LABELS = {"company": "MERCHANT_NAME", "date": "DATE", "address": "ADDRESS_LINE", "total": "GRAND_TOTAL"}
COMPANY_COVERAGE = 0.75
# Low, because a published line has lost what followed its first comma, which in addresses is most of it.
ADDRESS_COVERAGE = 0.12
EXAMPLES_PER_FIELD = 10


@dataclass(frozen=True, slots=True)
class Labelled:
    """A receipt with its labels, and which of its fields were found among its words."""

    draft: DraftReceipt
    placed: frozenset[str]
    missing: frozenset[str]
    repaired_boxes: int


@dataclass(slots=True)
class ImportReport:
    """What an import did: per field the receipts in which it was placed and those in which it was not."""

    receipts: int = 0
    placed: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    missing_examples: dict[str, list[str]] = field(default_factory=dict)
    repaired_boxes: int = 0

    def add(self, labelled: Labelled) -> None:
        """Count one receipt."""
        self.receipts += 1
        self.placed.update(labelled.placed)
        self.missing.update(labelled.missing)
        self.repaired_boxes += labelled.repaired_boxes
        for name in sorted(labelled.missing):
            examples = self.missing_examples.setdefault(name, [])
            if len(examples) < EXAMPLES_PER_FIELD:
                examples.append(labelled.draft.key)


def import_sroie(path: Path) -> tuple[list[DraftReceipt], ImportReport]:
    """Every receipt of a SROIE file with its labels.

    Raises:
        DataError: A line of the file is not a receipt.
    """
    report = ImportReport()
    drafts = []
    for receipt in read_sroie(path):
        labelled = label_receipt(receipt)
        report.add(labelled)
        drafts.append(labelled.draft)
    return drafts, report


def label_receipt(receipt: SroieReceipt) -> Labelled:
    """Label the words that print the receipt's fields; a field that is in doubt labels nothing."""
    printed = [(text, box) for text, box in zip(receipt.texts, receipt.boxes, strict=True) if text.strip()]
    boxes = [repaired(box, receipt.width, receipt.height) for _, box in printed]
    lines = [split_line(text, box) for (text, _), box in zip(printed, boxes, strict=True)]
    found = find_fields(lines, receipt.entities)
    labels = {spot: LABELS[name] for name, spots in found.items() for spot in spots}
    placed = frozenset(name for name, spots in found.items() if spots)
    draft = DraftReceipt(
        source="sroie",
        key=receipt.key,
        width=receipt.width,
        height=receipt.height,
        lines=tuple(_with_labels(index, line, labels) for index, line in enumerate(lines)),
        labelled_by="sroie-import",
        merchant=" ".join(receipt.entities.get("company", "").upper().split()) or None,
    )
    changed = sum(box != before for box, (_, before) in zip(boxes, printed, strict=True))
    return Labelled(draft, placed, frozenset(FIELDS) - placed, changed)


def find_fields(lines: list[DraftLine], entities: Mapping[str, str]) -> dict[str, frozenset[Spot]]:
    """The words that print each field; the address comes last and takes no word that another field has."""
    found = {
        "company": find_phrase(lines, entities.get("company", ""), needed=COMPANY_COVERAGE),
        "date": find_date(lines, entities.get("date", "")),
        "total": find_total(lines, entities.get("total", "")),
    }
    taken = frozenset().union(*found.values())
    address = find_phrase(lines, entities.get("address", ""), needed=ADDRESS_COVERAGE, taken=taken)
    return {**found, "address": address}


def _with_labels(index: int, line: DraftLine, labels: Mapping[Spot, str]) -> DraftLine:
    words = tuple(replace(word, label=labels.get((index, k))) for k, word in enumerate(line.words))
    return replace(line, words=words)
