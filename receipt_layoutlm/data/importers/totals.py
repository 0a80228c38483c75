"""Finds the words that print the grand total, whose amount often stands elsewhere too (cash, subtotal)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from receipt_layoutlm.data.draft import DraftLine
from receipt_layoutlm.data.importers.phrases import Spot
from receipt_layoutlm.data.importers.spans import words_touching

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
    """Whether the vertical middle of either stands within the other's height."""
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
    """How much a caption says that its amount is the grand total: 0 not at all, 5 for certain.

    A row may hold several captions ("ITEMS 2  TOTAL"): the one nearest to the amount counts.
    """
    captions = [part for part in NUMBER.split(caption.upper().replace("RM", " ")) if WORD.search(part)]
    ranks = (rank for part in reversed(captions) for rank, cue in CUES if cue.search(part))
    return next(ranks, ANY_OTHER_CAPTION if captions else NO_CAPTION)
