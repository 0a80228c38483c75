"""Aligns SROIE's fields (company, address, date, total) with words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from receipt_layoutlm.data.importers.phrases import Spot, find_phrase, squeeze
from receipt_layoutlm.data.importers.sroie import FIELDS, SroieReceipt, read_sroie, repaired, split_line
from receipt_layoutlm.data.receipt_draft import DraftLine, DraftReceipt


def words_touching(line: DraftLine, span: range) -> list[int]:
    """Indices of the words that share a character with `span` of the line's text."""
    touching, start = [], 0
    for index, word in enumerate(line.words):
        end = start + len(word.text)
        if start < span.stop and span.start < end:
            touching.append(index)
        start = end + 1
    return touching


MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_GAP = r"\s*[-/.,' ]\s*"
_MONTH = r"(?P<m>" + "|".join(MONTHS) + r")[A-Z]*"
# No boundary is asked for at the end: scans glue the time to the date ("26/02/1808:11").
FORMS = tuple(
    re.compile(r"(?<!\d)" + form, re.IGNORECASE)
    for form in (
        rf"(?P<d>\d{{1,2}}){_GAP}(?P<m>\d{{1,2}}){_GAP}(?P<y>\d{{4}})",
        rf"(?P<d>\d{{1,2}}){_GAP}(?P<m>\d{{1,2}}){_GAP}(?P<y>\d{{2}})",
        rf"(?P<m>\d{{1,2}}){_GAP}(?P<d>\d{{1,2}}){_GAP}(?P<y>\d{{4}})",
        rf"(?P<y>\d{{4}}){_GAP}(?P<m>\d{{1,2}}){_GAP}(?P<d>\d{{1,2}})",
        rf"(?P<d>\d{{1,2}})(?:{_GAP})?{_MONTH}(?:{_GAP})?(?P<y>\d{{4}}|\d{{2}})",
        rf"{_MONTH}(?:{_GAP})?(?P<d>\d{{1,2}})(?:{_GAP})?(?P<y>\d{{4}})",
        r"(?P<d>\d{2})(?P<m>\d{2})(?P<y>20\d{2})",
        r"(?P<y>20\d{2})(?P<m>\d{2})(?P<d>\d{2})",
    )
)
CENTURY = 2000


def readings(text: str) -> Iterator[tuple[date, range]]:
    """Every date that `text` can be read as, with the characters that say so.

    "09/01/2019" reads as 9 January and as 1 September: which of them was meant, only the known date tells.
    """
    for form in FORMS:
        for match in form.finditer(text):
            day = _as_date(match["y"], match["m"], match["d"])
            if day:
                yield day, range(*match.span())


def _as_date(year: str, month: str, day: str) -> date | None:
    number = int(month) if month.isdigit() else 1 + MONTHS.index(month.upper())
    full_year = int(year) + (CENTURY if len(year) == len("19") else 0)
    try:
        return date(full_year, number, int(day))
    except ValueError:
        return None


def find_date(lines: Sequence[DraftLine], text: str) -> frozenset[Spot]:
    """Every word that prints the date `text`, and of a date with its time only the date.

    Where the receipt spells it just as `text` does, other spellings do not count: they may be the day's and
    the month's exchange.
    """
    wanted = {day for day, _ in readings(text)}
    same_spelling, same_day = set(), set()
    for index, line in enumerate(lines):
        for day, span in readings(line.text):
            if day in wanted:
                spots = {(index, k) for k in words_touching(line, span)}
                same_day |= spots
                if squeeze(line.text[span.start : span.stop]) == squeeze(text):
                    same_spelling |= spots
    return frozenset(same_spelling or same_day)


AMOUNT = re.compile(r"(?<![\d.])(?P<minus>-\s?)?(?:RM|MYR|\$)?\s?(?P<digits>\d[\d,]*\s?\.\s?\d{1,2})(?!\d)")
NUMBER = re.compile(r"\d[\d,.]*")
WORD = re.compile(r"[A-Z]{2}|\bT L\b")

# What the words to the left of an amount say about it; the first cue that is found decides. Only amounts that
# equal the known total are asked about, so "ROUNDING 20.00" is the rounded total, not what rounding added.
CUES = tuple(
    (rank, re.compile(pattern))
    for rank, pattern in (
        (1, r"EXC[L.]|EXCLU|BEFORE|ITEM|SAVING|TAXABLE|DISC"),
        (2, r"SUB\W*TOTAL"),
        (5, r"ROUND|GRAND|NETT?\b.*(TOTAL|AMOUNT)|TOTAL.*NETT?\b"),
        (5, r"(TOTAL|AMOUNT|AMT|BALANCE)\W*(AMOUNT|AMT)?\W*(DUE|PAYABLE|TO (BE )?PA)|TOTAL PAY"),
        (4, r"(TOTAL|TATAL|AMOUNT).*INC|INC.*TOTAL"),
        (0, r"CASH|TENDER|PAYMENT|VISA|MASTER|CARD|CHANGE|BALANCE"),
        (0, r"TOTAL\W*(GST|TAX)|(GST|TAX)\W*(AMOUNT|AMT|TOTAL)?\W*$"),
        (4, r"TOTAL|JUMLAH|\bT\W?L\b"),
        (3, r"AMOUNT|\bAMT\b|NETT?\b|DUE\b"),
    )
)
NO_CAPTION = 1
ANY_OTHER_CAPTION = 0
ENOUGH = 2


@dataclass(frozen=True, order=True, slots=True)
class Candidate:
    """One place where the total's value is printed; of two the better is greater, field by field."""

    rank: int
    stands_alone: bool
    bottom: float
    spots: tuple[Spot, ...]


def amounts(text: str) -> Iterator[tuple[Decimal, range]]:
    """Every amount in a text, currency aside, with the characters of its digits."""
    for match in AMOUNT.finditer(text):
        value = Decimal("".join(c for c in match["digits"] if c.isdigit() or c == "."))
        yield (-value if match["minus"] else value), range(*match.span("digits"))


def same_row(line: DraftLine, other: DraftLine) -> bool:
    """Whether the vertical middle of either line is within the other's height."""
    middle, other_middle = (line.box[1] + line.box[3]) / 2, (other.box[1] + other.box[3]) / 2
    return line.box[1] < other_middle < line.box[3] or other.box[1] < middle < other.box[3]


def find_total(lines: Sequence[DraftLine], text: str) -> frozenset[Spot]:
    """The words that print the amount `text` as the total, or none where nothing beside it says so.

    Of equally good places one that shares its row with no other amount wins (a tax summary's rows do), then
    the lowest: after rounding, the total is printed again.
    """
    wanted = next((value for value, _ in amounts(text)), None)
    candidates = [
        _candidate(lines, index, span)
        for index, line in enumerate(lines)
        for value, span in amounts(line.text)
        if value == wanted
    ]
    best = max(candidates, default=None)
    return frozenset(best.spots) if best and best.rank >= ENOUGH else frozenset()


def _candidate(lines: Sequence[DraftLine], index: int, span: range) -> Candidate:
    line = lines[index]
    row = [other for k, other in enumerate(lines) if k != index and same_row(line, other)]
    left = sorted((other for other in row if other.box[0] < line.box[0]), key=lambda other: other.box[0])
    caption = " ".join([*(other.text for other in left), line.text[: span.start]])
    others = sum(1 for member in (line, *row) for _ in amounts(member.text)) - 1
    spots = tuple((index, k) for k in words_touching(line, span))
    return Candidate(rank_of(caption), others == 0, line.box[3], spots)


def rank_of(caption: str) -> int:
    """Rate how surely a caption marks its amount as the grand total: from 0, not at all, to 5, certain.

    A row may hold several captions ("ITEMS 2  TOTAL"): the one nearest to the amount counts.
    """
    captions = [part for part in NUMBER.split(caption.upper().replace("RM", " ")) if WORD.search(part)]
    ranks = (rank for part in reversed(captions) for rank, cue in CUES if cue.search(part))
    return next(ranks, ANY_OTHER_CAPTION if captions else NO_CAPTION)


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
    """The result of an import: per field the receipts with a position for it and those without one."""

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
