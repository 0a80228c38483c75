"""Finds a known date among the words of a receipt, in whatever order and with whatever separators."""

import re
from collections.abc import Iterator, Sequence
from datetime import date

from receipt_layoutlm.data.draft import DraftLine
from receipt_layoutlm.data.importers.phrases import Spot, squeeze
from receipt_layoutlm.data.importers.spans import words_touching

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
