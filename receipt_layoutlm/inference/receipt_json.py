"""Receipt files in, labelled receipts out, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from messages.fields import Float, Int, Message
from receipt_layoutlm.data.page_layout import hull
from receipt_layoutlm.data.receipts import Box, Receipt, Word
from run_records.errors import DataError
from run_records.user_files import read_text

MAX_BYTES = 32 * 2**20
MAX_WORDS = 50_000
_FAULTS_SHOWN = 5
_EDGE = 1.5  # a word that OCR saw at the edge may reach a little beyond 1

Length = Annotated[Float, Field(gt=0)]


class FileWord(Message):
    """One word; `box` is x0, y0, x1, y1 of opposite corners, in the file's unit and from its origin."""

    text: str
    box: tuple[Float, Float, Float, Float]


class PageSize(Message):
    """Width and height of the page in the unit of its boxes, for example pixels."""

    width: Length
    height: Length


class ReceiptFile(Message):
    """The document.

    Attributes:
        words: in the order in which they are printed, which becomes the order of their ids.
        origin: the corner that boxes are measured from; the table and most OCR of Apple's count from the
            bottom left, other OCR from the top left.
        size: left out where boxes are shares of the page, 0..1.
    """

    words: Annotated[tuple[FileWord, ...], Field(max_length=MAX_WORDS)]
    origin: Literal["bottom-left", "top-left"] = "bottom-left"
    size: PageSize | None = None
    image_id: str = "file"
    receipt_id: Annotated[Int, Field(ge=0)] = 1

    def to_receipt(self) -> Receipt:
        """The receipt as the table would have it; words without text are left out, as everywhere."""
        words = tuple(
            Word(1, number, word.text, self._place(word.box))
            for number, word in enumerate(self.words, start=1)
            if word.text.strip()
        )
        return Receipt(self.image_id, self.receipt_id, words)

    def _place(self, box: Box) -> Box:
        width, height = (self.size.width, self.size.height) if self.size else (1.0, 1.0)
        x0, y0, x1, y1 = hull([(box[0] / width, box[1] / height), (box[2] / width, box[3] / height)])
        return (x0, 1 - y1, x1, 1 - y0) if self.origin == "top-left" else (x0, y0, x1, y1)


def read_receipt_file(path: Path) -> tuple[Receipt, PageSize | None]:
    """Read a receipt from JSON; returns it with the size of its page where the file has one.

    Raises:
        DataError: the file cannot be read or is not of this form; each fault is named with its place.
    """
    document = _read(path)
    if document.size is None and any(max(word.box) > _EDGE for word in document.words):
        raise DataError(
            f"{path.name}: boxes go beyond 1, so they are no shares of the page. Add "
            '"size": {"width": ..., "height": ...} in their unit.'
        )
    receipt = document.to_receipt()
    if not receipt.words:
        raise DataError(f"{path.name}: no word has a text. Pass a receipt with words on it.")
    return receipt, document.size


def _read(path: Path) -> ReceiptFile:
    try:
        body = read_text(path, at_most=MAX_BYTES)
    except DataError as error:
        raise DataError(
            f"{error} A receipt is a JSON file, or the image id and the receipt id of one in the table."
        ) from error
    try:
        return ReceiptFile.model_validate_json(body)
    except pydantic.ValidationError as error:
        raise DataError(f"{path.name}: {_describe(error)}.") from error


def _describe(error: pydantic.ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{'.'.join(map(str, fault['loc'])) or 'document'}: {fault['msg']}" for fault in faults]
    more = len(shown) - _FAULTS_SHOWN
    return "; ".join(shown[:_FAULTS_SHOWN]) + (f"; and {more} more" if more > 0 else "")


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
