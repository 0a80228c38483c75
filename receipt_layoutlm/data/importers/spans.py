"""Leads from characters of a line's text back to its words."""

from receipt_layoutlm.data.draft import DraftLine


def words_touching(line: DraftLine, span: range) -> list[int]:
    """Indices of the words that share a character with `span` of the line's text."""
    touching, start = [], 0
    for index, word in enumerate(line.words):
        end = start + len(word.text)
        if start < span.stop and span.start < end:
            touching.append(index)
        start = end + 1
    return touching
