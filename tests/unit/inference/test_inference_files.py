"""A receipt in a JSON file: the same receipt as in the table, or one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from receipt_layoutlm.inference.receipt_json import MAX_BYTES, read_receipt_file
from run_records.errors import DataError

WORD = {"text": "TOTAL", "box": [0.1, 0.2, 0.3, 0.25]}


def write(folder: Path, document: Any) -> Path:
    path = folder / "receipt.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_receipt_file(path)
    return str(caught.value)


def test_shares_of_the_page_from_the_bottom_left_are_the_tables_own(tmp_path: Path) -> None:
    receipt, size = read_receipt_file(write(tmp_path, {"words": [WORD, {**WORD, "text": "9.50"}]}))
    assert [(word.text, word.box) for word in receipt.words] == [
        ("TOTAL", (0.1, 0.2, 0.3, 0.25)),
        ("9.50", (0.1, 0.2, 0.3, 0.25)),
    ]
    assert [word.word_id for word in receipt.words] == [1, 2]
    assert size is None


def test_pixels_from_the_top_left_become_the_tables_shares(tmp_path: Path) -> None:
    document = {
        "origin": "top-left",
        "size": {"width": 400, "height": 1000},
        "words": [{"text": "SHOP", "box": [40, 50, 120, 100]}],
        "image_id": "a-photo",
        "receipt_id": 2,
    }
    receipt, size = read_receipt_file(write(tmp_path, document))
    assert receipt.words[0].box == pytest.approx((0.1, 0.9, 0.3, 0.95))
    assert (receipt.image_id, receipt.receipt_id) == ("a-photo", 2)
    assert size is not None
    assert (size.width, size.height) == (400, 1000)


def test_corners_may_come_in_any_order(tmp_path: Path) -> None:
    receipt, _ = read_receipt_file(write(tmp_path, {"words": [{"text": "a", "box": [0.3, 0.25, 0.1, 0.2]}]}))
    assert receipt.words[0].box == (0.1, 0.2, 0.3, 0.25)


def test_words_without_text_are_left_out_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    receipt, _ = read_receipt_file(write(tmp_path, {"words": [{**WORD, "text": " "}, WORD]}))
    assert [(word.word_id, word.text) for word in receipt.words] == [(2, "TOTAL")]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("{", "receipt.json: document: Invalid JSON"),
        ([WORD], "receipt.json: document: "),
        ({}, "words: Field required"),
        ({"words": []}, "no word has a text. Pass a receipt with words on it"),
        ({"words": [{"text": "a"}]}, "words.0.box: Field required"),
        ({"words": [WORD, {**WORD, "box": [1, 2, 3]}]}, "words.1.box.3: Field required"),
        ({"words": [{**WORD, "box": [0, 0, "NaN", 1]}]}, "words.0.box.2: "),
        ({"words": [{**WORD, "box": [0, 0, True, 1]}]}, "words.0.box.2: "),
        ({"words": [{**WORD, "label": "DATE"}]}, "words.0.label: Extra inputs"),
        ({"words": [WORD], "origin": "middle"}, "origin: Input should be 'bottom-left' or 'top-left'"),
        ({"words": [WORD], "size": {"width": 0, "height": 1}}, "size.width: Input should be greater than 0"),
        ({"words": [{**WORD, "box": [10, 10, 90, 20]}]}, 'Add "size"'),
        ({"words": [{**WORD, "text": ""}]}, "no word has a text"),
        ({"words": [{}, {}, {}, {}]}, "; and 3 more."),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, document: Any, fault: str) -> None:
    message = refusal(write(tmp_path, document))
    assert fault in message
    assert message.startswith("receipt.json: ")
    assert "\n" not in message


def test_a_file_that_is_not_there_says_what_else_could_have_been_meant(tmp_path: Path) -> None:
    message = refusal(tmp_path / "gone.json")
    assert "cannot be read (No such file or directory)" in message
    assert "the image id and the receipt id" in message
    assert "cannot be read" in refusal(tmp_path)


def test_a_file_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    assert "larger than" in refusal(path)
