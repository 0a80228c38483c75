"""Whole receipts in, labelled words and entities out, on the very path that training is scored by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from receipt_layoutlm.data.page_layout import PageLayout, hull, lay_out_all
from receipt_layoutlm.data.receipts import Box, Receipt, Word
from receipt_layoutlm.evaluation.decoding import (
    Decoding,
    Probabilities,
    decode_constrained,
    decode_plain,
    spans,
)
from receipt_layoutlm.inference.predictors import Predictor
from receipt_layoutlm.inference.receipt_json import Entity, LabelledReceipt, LabelledWord
from run_records.errors import CheckpointError
from run_records.labels import NO_LABELS


def label_receipts(
    labeller: Predictor, receipts: Sequence[Receipt], decoding: Decoding = "constrained"
) -> tuple[LabelledReceipt, ...]:
    """Label each word of receipts and gather the words of an entity.

    Probabilities are the clients': windows of words, softmax of the first sub-token, averaged over windows.
    By default the tags are then the best sequence that true ones can have, weighed with what training has
    counted of tags that follow each other, since people and programs that use the entities want whole ones.
    The clients take each word by itself; a word whose tag differs from theirs says so. With
    `decoding="plain"` the tags are the clients' own.

    Args:
        labeller: the model.
        receipts: all at once, so that windows of like length share a batch.
        decoding: how tags are chosen.

    Raises:
        CheckpointError: the model computes something that is no number.
    """
    pages = lay_out_all(receipts, NO_LABELS)
    said = labeller.predict(labeller.encoder.encode(pages))
    return tuple(
        _label(receipt, page, probabilities, labeller, decoding)
        for receipt, page, probabilities in zip(receipts, pages, said.probabilities, strict=True)
    )


def label_receipt(
    labeller: Predictor, receipt: Receipt, decoding: Decoding = "constrained"
) -> LabelledReceipt:
    """`label_receipts` for one."""
    return label_receipts(labeller, [receipt], decoding)[0]


def _label(
    receipt: Receipt, page: PageLayout, probabilities: Probabilities, labeller: Predictor, decoding: Decoding
) -> LabelledReceipt:
    if not np.isfinite(probabilities).all():
        raise CheckpointError(
            f"The model computes NaN for {receipt.key}; its training diverged or its weights are damaged. "
            "Use another checkpoint."
        )
    tags = labeller.tags
    chosen = plain = decode_plain(probabilities, tags)
    if decoding == "constrained":
        chosen = decode_constrained(probabilities, tags, labeller.transitions, page.lines)
    as_read = [
        _labelled_word(
            receipt.words[index], tags[tag], float(row[tag]), tags[other] if other != tag else None
        )
        for index, row, tag, other in zip(page.order, probabilities, chosen, plain, strict=True)
    ]
    entities = [_entity(label, as_read[start:end]) for label, start, end in spans([w.tag for w in as_read])]
    return LabelledReceipt(
        image_id=receipt.image_id,
        receipt_id=receipt.receipt_id,
        words=tuple(sorted(as_read, key=_place)),
        entities=tuple(sorted(entities, key=lambda entity: entity.words[0])),
    )


def _labelled_word(word: Word, tag: str, confidence: float, clients_tag: str | None) -> LabelledWord:
    return LabelledWord(
        line_id=word.line_id,
        word_id=word.word_id,
        text=word.text,
        box=word.box,
        tag=tag,
        confidence=min(confidence, 1.0),  # a mean of ones may come out one bit above
        clients_tag=clients_tag,
    )


def _entity(label: str, words: Sequence[LabelledWord]) -> Entity:
    # The model reads a receipt from its last line up; people do not.
    printed = sorted(words, key=_place)
    return Entity(
        label=label,
        text=" ".join(word.text for word in printed),
        box=_union([word.box for word in printed]),
        confidence=sum(word.confidence for word in printed) / len(printed),
        words=tuple(_place(word) for word in printed),
    )


def _place(word: LabelledWord) -> tuple[int, int]:
    return word.line_id, word.word_id


def _union(boxes: Sequence[Box]) -> Box:
    return hull([corner for x0, y0, x1, y1 in boxes for corner in ((x0, y0), (x1, y1))])
