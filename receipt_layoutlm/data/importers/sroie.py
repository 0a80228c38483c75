"""Reads the scanned receipts of the ICDAR 2019 SROIE challenge: text lines with boxes, and four key fields.

The published text of a line ends at its first comma ("NO.2" for "NO.2, JALAN BESAR") while its box spans the
whole line. Nothing here guesses what was lost.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from receipt_layoutlm.data.receipt_draft import DraftLine, DraftWord, PixelBox
from run_records.errors import DataError
from run_records.user_files import read_lines

FIELDS = ("company", "date", "address", "total")
BOX_NUMBERS = 4


@dataclass(frozen=True, slots=True)
class SroieReceipt:
    """One receipt as published: `texts[i]` stands in `boxes[i]`; a field that was not annotated is absent."""

    key: str
    width: int
    height: int
    entities: Mapping[str, str]
    texts: tuple[str, ...]
    boxes: tuple[PixelBox, ...]


def read_sroie(path: Path) -> Iterator[SroieReceipt]:
    """The receipts of a JSON Lines file.

    Raises:
        DataError: It cannot be read, or a line is not a receipt; the message has the line's number.
    """
    for number, line in read_lines(path):
        try:
            yield _receipt(from_json(line, allow_inf_nan=False))
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{path.name}, line {number}: {error}. Correct that line or remove it; a line is one"
                " JSON object with key, image_size, entities, words and bboxes."
            ) from error


def _receipt(raw: Any) -> SroieReceipt:
    if not isinstance(raw, dict):
        raise TypeError("it is not a JSON object")
    size = _field(raw, "image_size", dict)
    texts = _field(raw, "words", list)
    boxes = _field(raw, "bboxes", list)
    if len(texts) != len(boxes):
        raise ValueError(f"{len(texts)} words but {len(boxes)} bboxes")
    return SroieReceipt(
        key=_field(raw, "key", str),
        width=_positive(size, "width"),
        height=_positive(size, "height"),
        entities={
            name: _text(value) for name, value in _field(raw, "entities", dict).items() if name in FIELDS
        },
        texts=tuple(_text(text) for text in texts),
        boxes=tuple(_box(box) for box in boxes),
    )


def _field(raw: dict[str, Any], name: str, kind: type) -> Any:
    if name not in raw:
        raise ValueError(f"{name} is missing")
    if not isinstance(raw[name], kind):
        raise TypeError(f"{name} is {type(raw[name]).__name__} instead of {kind.__name__}")
    return raw[name]


def _positive(size: dict[str, Any], name: str) -> int:
    value = int(_field(size, name, int))
    if value <= 0:
        raise ValueError(f"{name} is {value} pixels")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a text should")
    return value


def _box(box: Any) -> PixelBox:
    if (
        not isinstance(box, list)
        or len(box) != BOX_NUMBERS
        or not all(isinstance(n, int | float) for n in box)
    ):
        raise TypeError(f"the bbox {box!r} is not four numbers x0, y0, x1, y1")
    x0, y0, x1, y1 = map(float, box)
    return x0, y0, x1, y1


def repaired(box: PixelBox, width: int, height: int) -> PixelBox:
    """The box with its corners in order, inside the image, and at least one pixel wide and high."""
    x0, x1 = _ordered_within(box[0], box[2], width)
    y0, y1 = _ordered_within(box[1], box[3], height)
    return x0, y0, x1, y1


def _ordered_within(one: float, other: float, limit: int) -> tuple[float, float]:
    low = min(max(min(one, other), 0.0), limit - 1.0)
    return low, min(max(one, other, low + 1.0), float(limit))


def split_line(text: str, box: PixelBox) -> DraftLine:
    """The line's words, each with the share of the line's box that its characters have of the line's text.

    SROIE gives no boxes of words; among printed characters of similar width the share is a good estimate.
    """
    tokens = text.split()
    per_character = (box[2] - box[0]) / len(" ".join(tokens))
    words, start = [], 0
    for token in tokens:
        end = start + len(token)
        share = (box[0] + start * per_character, box[1], box[0] + end * per_character, box[3])
        words.append(DraftWord(token, share))
        start = end + 1
    return DraftLine(tuple(words), box)
