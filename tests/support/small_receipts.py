"""Small receipts that need no data."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from receipt_layoutlm.data.receipts import Receipt, Word

_LINES = (
    (("CORNER", "MERCHANT_NAME"), ("SHOP", "MERCHANT_NAME")),
    (("12", "ADDRESS_LINE"), ("High", "ADDRESS_LINE"), ("Street", "ADDRESS_LINE")),
    (("Date", None), ("{day:02d}/03/2025", "DATE")),
    (("Milk", "PRODUCT_NAME"), ("{price}.50", "LINE_TOTAL")),
    (("TOTAL", None), ("{price}.50", "GRAND_TOTAL")),
    (("Thank", None), ("you", None)),
)


def make_receipt(number: int) -> Receipt:
    """A receipt of six lines, from top to bottom as printed."""
    words = []
    for line_id, line in enumerate(_LINES, start=1):
        y = 1 - line_id * 0.1
        for word_id, (text, label) in enumerate(line, start=1):
            box = (word_id * 0.2, y, word_id * 0.2 + 0.15, y + 0.05)
            shown = text.format(day=1 + number % 28, price=number % 9 + 1)
            words.append(Word(line_id, word_id, shown, box, label))
    return Receipt(str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))), 1, tuple(words))


def make_receipts(count: int) -> list[Receipt]:
    """Receipts sorted by key."""
    return sorted((make_receipt(number) for number in range(count)), key=lambda receipt: receipt.key)


def keys_of(receipts: Sequence[Receipt]) -> list[str]:
    return [receipt.key for receipt in receipts]
