"""Draws a labelled receipt."""

from __future__ import annotations

import colorsys
import io
from collections import Counter
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from receipt_layoutlm.inference.receipt_json import Entity, LabelledReceipt
from run_records.labels import CORE_LABELS

Color = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the picture."""

PAGE_WIDTH = 1000
_MAX_HEIGHT = 6000
_LEGEND_WIDTH = 320
_MARGIN = 16
_ROW = 30
_TAG_SIZE, _TAG_HEIGHT = 14, 20
_FILL_OPACITY = 60
_WHITE, _BLACK, _GREY = (255, 255, 255), (0, 0, 0), (110, 110, 110)
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
_DEFAULT_SIZE = (1000, 2000)
_HUES = 11
_READABLE = 8


def read_page(body: bytes) -> Image.Image:
    """The picture of a receipt.

    Raises:
        ValueError: the bytes are no picture of a known format, or one of absurd size.
    """
    try:
        return Image.open(io.BytesIO(body), formats=_FORMATS).convert("RGB")
    except (OSError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"it is no picture that can be read ({error})") from error


def draw_receipt(
    labelled: LabelledReceipt, page: Image.Image | None = None, size: tuple[float, float] | None = None
) -> Image.Image:
    """Draw the entities with their labels, and a legend beside them.

    Args:
        labelled: what the model said.
        page: the receipt's picture; without one its words are printed on a white page.
        size: width and height of that white page, in any unit.
    """
    width, height = page.size if page else size or _DEFAULT_SIZE
    pixels = (PAGE_WIDTH, min(max(round(PAGE_WIDTH * height / width), 1), _MAX_HEIGHT))
    boxes = _boxes(labelled, pixels)
    legend = _legend(labelled)
    picture = Image.new("RGB", (PAGE_WIDTH + _LEGEND_WIDTH, max(pixels[1], _legend_height(legend))), _WHITE)
    if page:
        picture.paste(page.resize(pixels), (0, 0))
    else:
        _print_words(ImageDraw.Draw(picture), labelled, boxes)
    picture = _draw_entities(picture, labelled, boxes)
    _draw_legend(ImageDraw.Draw(picture), labelled, legend)
    return picture


def color_of(label: str) -> Color:
    """The color of a label, the same in each picture and far from its neighbours'."""
    known = list(CORE_LABELS)
    number = known.index(label) if label in CORE_LABELS else len(known) + sum(label.encode())
    # Neighbours in the list are five hues apart; the second half has the same hues, darker.
    hue, is_dark = number * 5 % _HUES / _HUES, number // _HUES % 2
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.9, 0.45 if is_dark else 0.75)
    return round(red * 255), round(green * 255), round(blue * 255)


def _boxes(labelled: LabelledReceipt, pixels: tuple[int, int]) -> dict[tuple[int, int], Rectangle]:
    """The rectangle of each word in pixels: the table counts y from the bottom, a picture from the top."""
    width, height = pixels
    return {
        (word.line_id, word.word_id): (x0 * width, (1 - y1) * height, x1 * width, (1 - y0) * height)
        for word in labelled.words
        for x0, y0, x1, y1 in (word.box,)
    }


def _print_words(
    draw: ImageDraw.ImageDraw, labelled: LabelledReceipt, boxes: dict[tuple[int, int], Rectangle]
) -> None:
    for word in labelled.words:
        left, top, right, bottom = boxes[word.line_id, word.word_id]
        font = _fitting_font(draw, word.text, right - left, bottom - top)
        draw.text((left, (top + bottom) / 2), word.text, fill=_BLACK, font=font, anchor="lm")


def _fitting_font(
    draw: ImageDraw.ImageDraw, text: str, width: float, height: float
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    size = max(height * 0.8, _READABLE)
    needed = draw.textlength(text, font=ImageFont.load_default(size)) or 1
    return ImageFont.load_default(max(size * min(width / needed, 1), _READABLE))


def _draw_entities(
    picture: Image.Image, labelled: LabelledReceipt, boxes: dict[tuple[int, int], Rectangle]
) -> Image.Image:
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    for entity in labelled.entities:
        for word in entity.words:
            draw.rectangle(boxes[word], fill=(*color_of(entity.label), _FILL_OPACITY))
    for entity in labelled.entities:
        _outline(draw, entity, [boxes[word] for word in entity.words])
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def _outline(draw: ImageDraw.ImageDraw, entity: Entity, words: Sequence[Rectangle]) -> None:
    lefts, tops, rights, bottoms = zip(*words, strict=True)
    left, top = min(lefts), min(tops)
    color = color_of(entity.label)
    draw.rectangle((left - 2, top - 2, max(rights) + 2, max(bottoms) + 2), outline=(*color, 255), width=2)
    _tag(draw, f"{entity.label} {entity.confidence:.0%}", left - 2, max(top - 2, _TAG_HEIGHT), color)


def _tag(draw: ImageDraw.ImageDraw, text: str, left: float, bottom: float, color: Color) -> None:
    font = ImageFont.load_default(_TAG_SIZE)
    width = draw.textlength(text, font=font) + 8
    draw.rectangle((left, bottom - _TAG_HEIGHT, left + width, bottom), fill=(*color, 230))
    draw.text((left + 4, bottom - _TAG_HEIGHT / 2), text, fill=(*_WHITE, 255), font=font, anchor="lm")


def _legend(labelled: LabelledReceipt) -> list[tuple[str, int]]:
    return sorted(Counter(entity.label for entity in labelled.entities).items())


def _legend_height(legend: Sequence[tuple[str, int]]) -> int:
    return 2 * _MARGIN + _ROW * (len(legend) + 3)


def _draw_legend(
    draw: ImageDraw.ImageDraw, labelled: LabelledReceipt, legend: Sequence[tuple[str, int]]
) -> None:
    left, font = PAGE_WIDTH + _MARGIN, ImageFont.load_default(18)
    small = ImageFont.load_default(13)
    draw.text((left, _MARGIN), labelled.image_id[:36], fill=_GREY, font=small)
    draw.text((left, _MARGIN + 18), f"receipt {labelled.receipt_id}", fill=_GREY, font=small)
    top = _MARGIN + 2 * _ROW
    for label, count in legend:
        draw.rectangle((left, top, left + 18, top + 18), fill=color_of(label))
        draw.text((left + 28, top - 1), f"{label}  {count}", fill=_BLACK, font=font)
        top += _ROW
    if not legend:
        draw.text((left, top), "no entities", fill=_GREY, font=font)
