"""Finds the words that print the grand total, which the same receipt often also prints as subtotal, cash or an item."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from receipt_layoutlm.data.draft import DraftLine
from receipt_layoutlm.data.importers.phrases import Spot
from receipt_layoutlm.data.importers.spans import words_touching

AMOUNT = re.compile(r"(?<![\d.])(?P<minus>-\s?)?(?:RM|MYR|\$)?\s?(?P<digits>\d[\d,]*\s?\.\s?\d{1,2})(?!\d)")

# What the words to the left of an amount say about it; the first cue that is found decides.
CUES = tuple(
    (rank, re.compile(pattern))
    for rank, pattern in (
        (1, r"SUB\W*TOTAL|EXC[L.]|EXCLU|BEFORE|W/?O TAX|QTY|ITEM|SAVING|DISC|TAXABLE"),
        (5, r"ROUNDED|AFTER (ROUND|ADJ)|(ROUNDING|ADJ\w*) TOTAL|GRAND|NETT?\b.*(TOTAL|AMOUNT)|TOTAL.*NETT?\b"),
        (5, r"(TOTAL|AMOUNT|AMT|BALANCE)\W*(AMOUNT|AMT|RM)?\W*(DUE|PAYABLE|TO PAY)|TOTAL PAY"),
        (4, r"TOTAL.*INC|INC.*TOTAL|AMOUNT.*INC"),
        (0, r"CASH|TENDER|PAID|PAYMENT|VISA|MASTER|CARD|CHANGE|ROUND|BALANCE"),
        (0, r"TOTAL\W*(GST|TAX)|(GST|TAX)\W*(AMOUNT|AMT|TOTAL)?\W*$"),
        (4, r"TOTAL|JUMLAH|T0TAL|TOTL"),
        (2, r"AMOUNT|\bAMT\b|NETT?\b|DUE\b"),
    )
)
NO_CAPTION = 1
ANY_OTHER_CAPTION = 0
ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place where the total's value is printed; candidates are ranked by these fields in this order."""

    rank: int
    stands_alone: bool
    bottom: float
    spots: tuple[Spot, ...]


def amounts(line: DraftLine) -> Iterator[tuple[Decimal, range]]:
    """Every amount in a line's text, with the characters of its digits."""
    for match in AMOUNT.finditer(line.text):
        value = Decimal("".join(c for c in match["digits"] if c.isdigit() or c == "."))
        yield (-value if match["minus"] else value), range(*match.span("digits"))


def same_row(line: DraftLine, other: DraftLine) -> bool:
    """Whether the vertical middle of either stands within the other's height."""
    middle, other_middle = (line.box[1] + line.box[3]) / 2, (other.box[1] + other.box[3]) / 2
    return line.box[1] < other_middle < line.box[3] or other.box[1] < middle < other.box[3]


def find_total(lines: Sequence[DraftLine], text: str) -> frozenset[Spot]:
    """The words that print the amount `text` as the total, or none where nothing beside it says so.

    Of equally good places one that shares its row with no other amount wins (a tax summary's rows do), then the
    lowest: after rounding, the total is printed again.
    """
    wanted = value_of(text)
    if wanted is None:
        return frozenset()
    candidates = [
        _candidate(lines, index, span)
        for index, line in enumerate(lines)
        for value, span in amounts(line)
        if value == wanted
    ]
    best = max(candidates, default=None, key=lambda c: (c.rank, c.stands_alone, c.bottom, c.spots))
    return frozenset(best.spots) if best and best.rank >= ENOUGH else frozenset()


def value_of(text: str) -> Decimal | None:
    """The amount that `text` states, currency aside, or None where it states none."""
    match = AMOUNT.search(text)
    if match is None:
        return None
    value = Decimal("".join(c for c in match["digits"] if c.isdigit() or c == "."))
    return -value if match["minus"] else value


def _candidate(lines: Sequence[DraftLine], index: int, span: range) -> Candidate:
    line = lines[index]
    row = [other for k, other in enumerate(lines) if k != index and same_row(line, other)]
    left = sorted((other for other in row if other.box[0] < line.box[0]), key=lambda other: other.box[0])
    caption = " ".join([*(other.text for other in left), line.text[: span.start]])
    others = sum(1 for member in (line, *row) for _ in amounts(member)) - 1
    spots = tuple((index, k) for k in words_touching(line, span))
    return Candidate(rank_of(caption), others == 0, line.box[3], spots)


def rank_of(caption: str) -> int:
    """How much a caption says that its amount is the grand total: 0 not at all, 5 for certain."""
    words = AMOUNT.sub(" ", caption.upper())
    if not re.search(r"[A-Z]{2}", words.replace("RM", "")):
        return NO_CAPTION
    return next((rank for rank, cue in CUES if cue.search(words)), ANY_OTHER_CAPTION)
