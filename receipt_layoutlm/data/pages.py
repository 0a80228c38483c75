"""A receipt as the model reads it: words in reading order, boxes in 0..1000, one BIO tag a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from receipt_layoutlm.data.geometry import ModelBox, normalise_boxes, reading_order
from receipt_layoutlm.data.lines import number_lines
from receipt_layoutlm.data.receipts import Receipt
from run_records.labels import OUTSIDE_ID, LabelSet


@dataclass(frozen=True, slots=True)
class Page:
    """One entry a word: `texts`, `boxes`, `tags` (ids), `order` (index into the receipt's words), `lines`.

    `lines` counts the printed lines; words of one line have the same number.
    """

    key: str
    texts: tuple[str, ...]
    boxes: tuple[ModelBox, ...]
    tags: tuple[int, ...]
    order: tuple[int, ...]
    lines: tuple[int, ...] = ()

    @property
    def entity_words(self) -> int:
        """Words that carry a label of the run."""
        return sum(tag != OUTSIDE_ID for tag in self.tags)


def lay_out(receipt: Receipt, labels: LabelSet) -> Page:
    """Put a receipt into reading order; BIO comes after merging and ordering, over the words as read."""
    boxes = normalise_boxes([word.box for word in receipt.words])
    order = reading_order(receipt.words, boxes)
    lines = number_lines(receipt.words, boxes)
    return Page(
        key=receipt.key,
        texts=tuple(receipt.words[index].text for index in order),
        boxes=tuple(boxes[index] for index in order),
        tags=tuple(labels.tag_ids(receipt.words[index].label for index in order)),
        order=tuple(order),
        lines=tuple(lines[index] for index in order),
    )


def lay_out_all(receipts: Sequence[Receipt], labels: LabelSet) -> list[Page]:
    """The pages of receipts, in their order."""
    return [lay_out(receipt, labels) for receipt in receipts]
