"""A draft as the receipt that would be loaded from the table, without the table between."""

from __future__ import annotations

from receipt_layoutlm.data.draft import DraftReceipt, DraftWord
from receipt_layoutlm.data.geometry import hull
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.data.store import RECEIPT_ID, image_id_of, place


def receipt_of(draft: DraftReceipt) -> Receipt:
    """The receipt with all its words and their labels."""
    words = tuple(
        _word(draft, word, line_id, word_id)
        for line_id, line in enumerate(draft.lines, start=1)
        for word_id, word in enumerate(line.words, start=1)
    )
    return Receipt(image_id_of(draft), RECEIPT_ID, words)


def _word(draft: DraftReceipt, word: DraftWord, line_id: int, word_id: int) -> Word:
    at = place(draft, word)
    points = (at["top_left"], at["top_right"], at["bottom_left"], at["bottom_right"])
    box = hull((point["x"], point["y"]) for point in points)
    return Word(line_id, word_id, word.text, box, word.label)
