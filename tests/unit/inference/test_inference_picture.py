"""The picture of a labelled receipt: labels where the words are, on the receipt or on a white page."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from receipt_layoutlm.inference.draw import PAGE_WIDTH, color_of, draw_receipt, read_page
from receipt_layoutlm.inference.receipt_json import Entity, LabelledReceipt, LabelledWord
from run_records.labels import CORE_LABELS

WHITE = (255, 255, 255)


def labelled() -> LabelledReceipt:
    """A date near the top and a plain word near the bottom."""
    words = (
        LabelledWord(
            line_id=1, word_id=1, text="01/02", box=(0.1, 0.8, 0.4, 0.85), tag="B-DATE", confidence=0.9
        ),
        LabelledWord(line_id=2, word_id=1, text="thanks", box=(0.1, 0.1, 0.6, 0.15), tag="O", confidence=1),
    )
    date = Entity(label="DATE", text="01/02", box=words[0].box, confidence=0.9, words=((1, 1),))
    return LabelledReceipt(image_id="an-image", receipt_id=1, words=words, entities=(date,))


def inked(picture: Image.Image, box: tuple[float, float, float, float]) -> bool:
    left, top, right, bottom = box
    part = picture.crop((round(left), round(top), round(right), round(bottom)))
    return any(pixel != WHITE for _, pixel in part.getcolors(part.width * part.height) or ())


def average(picture: Image.Image, box: tuple[int, int, int, int]) -> tuple[float, ...]:
    part = picture.crop(box).resize((1, 1), Image.Resampling.BOX)
    pixel = part.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def test_on_a_white_page_words_stand_where_the_table_has_them_with_y_upwards() -> None:
    picture = draw_receipt(labelled(), size=(500, 1000))
    assert picture.size[0] > PAGE_WIDTH
    assert picture.size[1] == 2 * PAGE_WIDTH
    assert inked(picture, (100, 300, 400, 400))  # 0.80 to 0.85 from the bottom
    assert inked(picture, (100, 1700, 600, 1800))
    assert not inked(picture, (0, 450, PAGE_WIDTH, 1650))


def test_an_entity_has_its_labels_color_and_other_words_have_none() -> None:
    picture = draw_receipt(labelled(), size=(500, 1000))
    red, green, blue = average(picture, (101, 301, 399, 399))
    assert (red, green, blue) != WHITE
    shades = {
        value
        for _, pixel in picture.crop((100, 1700, 600, 1800)).getcolors(50_000) or ()
        for value in [pixel]
    }
    assert all(isinstance(shade, tuple) and len(set(shade)) == 1 for shade in shades), "grey only"
    outline = picture.getpixel((97, 350)), picture.getpixel((98, 350))
    assert color_of("DATE") in outline


def test_the_legend_beside_the_page_names_the_labels_by_color() -> None:
    picture = draw_receipt(labelled(), size=(500, 1000))
    legend = picture.crop((PAGE_WIDTH + 1, 0, picture.size[0], 400))
    assert color_of("DATE") in [pixel for _, pixel in legend.getcolors(100_000) or ()]


def test_a_receipts_own_picture_lies_beneath() -> None:
    page = Image.new("RGB", (250, 500), (200, 220, 200))
    picture = draw_receipt(labelled(), page)
    assert picture.size[1] == 2 * PAGE_WIDTH
    assert picture.getpixel((500, 1000)) == (200, 220, 200)
    assert picture.getpixel((350, 1750)) == (200, 220, 200), "the text is in the picture already"


def test_a_receipt_without_entities_or_with_a_very_long_page_is_drawn_too() -> None:
    bare = labelled().model_copy(update={"entities": ()})
    assert draw_receipt(bare).size[0] > PAGE_WIDTH
    assert draw_receipt(bare, size=(1, 1000)).size[1] == 6000
    assert draw_receipt(bare, size=(1000, 1)).size[1] >= 100


def test_the_core_labels_have_colors_of_their_own_that_white_text_can_be_read_on() -> None:
    colors = {color_of(label) for label in CORE_LABELS}
    assert len(colors) == len(CORE_LABELS)
    assert all(sum(color) < 3 * 200 for color in colors)
    assert color_of("AMOUNT") == color_of("AMOUNT")


def test_bytes_that_are_no_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="no picture that can be read"):
        read_page(b"GIF89a and more")
    stream = io.BytesIO()
    Image.new("L", (3, 4)).save(stream, "PNG")
    assert read_page(stream.getvalue()).size == (3, 4)


def test_a_picture_of_absurd_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    Image.new("L", (300, 300)).save(stream, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(ValueError, match="no picture that can be read"):
        read_page(stream.getvalue())
