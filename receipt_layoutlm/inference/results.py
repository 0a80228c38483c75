"""What is known of a receipt once a model has read it, in a form that goes to JSON as it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from messages.fields import Message
from receipt_layoutlm.data.receipts import Box

Confidence = Annotated[float, Field(ge=0, le=1)]


class LabelledWord(Message):
    """One word with what the model says of it.

    Attributes:
        box: as the receipt has it: x0, y0, x1, y1, origin bottom left.
        tag: O, B-X or I-X, by the decoding that was asked for.
        confidence: the averaged probability of that tag.
        clients_tag: the tag that the clients show, where their plain decoding chooses another one.
    """

    line_id: int
    word_id: int
    text: str
    box: Box
    tag: str
    confidence: Confidence
    clients_tag: str | None = None


class Entity(Message):
    """Neighbouring words of one label.

    Attributes:
        text: its words as printed: line by line from the top, each from the left.
        box: the smallest box around them.
        confidence: the mean of its words'.
        words: line and word id of each, in the order of the text.
    """

    label: str
    text: str
    box: Box
    confidence: Confidence
    words: tuple[tuple[int, int], ...]


class LabelledReceipt(Message):
    """A receipt with a label for each word, and the entities that the words make, both as printed."""

    image_id: str
    receipt_id: int
    words: tuple[LabelledWord, ...]
    entities: tuple[Entity, ...]
