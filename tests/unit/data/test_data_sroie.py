"""Reading SROIE's file, and what labelling all of it comes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt_layoutlm.data.importers.field_alignment import ImportReport, import_sroie, label_receipt
from receipt_layoutlm.data.importers.sroie import SroieReceipt, read_sroie, repaired, split_line
from receipt_layoutlm.data.receipt_draft import DraftReceipt
from run_records.errors import DataError
from tests.conftest import SROIE

GOOD: dict[str, Any] = {
    "key": "X1",
    "image_size": {"width": 100, "height": 200},
    "entities": {"company": "SHOP"},
    "words": ["SHOP"],
    "bboxes": [[1, 2, 30, 14]],
}
needs_sroie = pytest.mark.skipif(
    not SROIE.exists(), reason="the SROIE receipts are not beside the repository"
)
coordinate = st.floats(-50, 300)


@pytest.fixture(scope="module")
def imported() -> tuple[list[DraftReceipt], ImportReport]:
    return import_sroie(SROIE)


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"key": None}, "key is NoneType instead of str"),
        ({"words": ["SHOP", "2"]}, "2 words but 1 bboxes"),
        ({"words": [3]}, "3 stands where a text should"),
        ({"bboxes": [[1, 2, 3]]}, "not four numbers"),
        ({"bboxes": [[1, 2, 3, "4"]]}, "not four numbers"),
        ({"image_size": {"width": 100}}, "height is missing"),
        ({"image_size": {"width": 0, "height": 1}}, "width is 0 pixels"),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_fault(
    tmp_path: Path, change: dict[str, Any], fault: str
) -> None:
    path = write_lines(tmp_path / "train.jsonl", json.dumps(GOOD), json.dumps({**GOOD, **change}))
    with pytest.raises(DataError, match=rf"train\.jsonl, line 2: .*{fault}.*Correct that line"):
        list(read_sroie(path))


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    line = json.dumps({key: value for key, value in GOOD.items() if key != name})
    with pytest.raises(DataError, match=rf"line 1: {name} is missing"):
        list(read_sroie(write_lines(tmp_path / "train.jsonl", line)))


@pytest.mark.parametrize("line", ["{", "[]", "7"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match="line 3: "):
        list(read_sroie(write_lines(tmp_path / "train.jsonl", json.dumps(GOOD), "", line)))


@given(
    st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), min_size=1),
    st.sampled_from([" ", "  ", "\t"]),
)
def test_splitting_a_line_loses_no_word(words: list[str], gap: str) -> None:
    line = split_line(gap.join(words), (10, 20, 310, 40))
    assert line.text == " ".join(words)


def test_words_share_their_lines_box_by_their_characters() -> None:
    line = split_line("AB CDE F", (0, 10, 80, 30))
    assert [word.box for word in line.words] == [(0, 10, 20, 30), (30, 10, 60, 30), (70, 10, 80, 30)]


@given(st.tuples(coordinate, coordinate, coordinate, coordinate))
def test_a_repaired_box_lies_in_the_image_and_has_an_area(box: tuple[float, float, float, float]) -> None:
    x0, y0, x1, y1 = repaired(box, 100, 200)
    assert 0 <= x0 < x1 <= 100
    assert 0 <= y0 < y1 <= 200


def test_a_box_that_was_right_stays_as_it_was() -> None:
    assert repaired((1, 2, 30, 14), 100, 200) == (1, 2, 30, 14)


def test_repaired_boxes_are_counted_and_blank_texts_skipped() -> None:
    boxes = ((30.0, 14.0, 1.0, 2.0), (1.0, 2.0, 3.0, 4.0), (90.0, 20.0, 120.0, 40.0))
    result = label_receipt(SroieReceipt("X1", 100, 200, {}, ("SHOP", "  ", "TEL"), boxes))
    assert [line.text for line in result.draft.lines] == ["SHOP", "TEL"]
    assert result.repaired_boxes == 2


def test_the_merchant_is_the_company_normalised() -> None:
    receipt = SroieReceipt("X1", 100, 200, {"company": " Sun  Mart "}, ("SUN",), ((1, 2, 3, 4),))
    assert label_receipt(receipt).draft.merchant == "SUN MART"


def test_the_report_names_receipts_in_which_a_field_is_missing() -> None:
    report = ImportReport()
    report.add(label_receipt(SroieReceipt("X7", 100, 200, {}, ("SHOP",), ((1, 2, 30, 14),))))
    assert report.receipts == 1
    assert report.missing == {"company": 1, "date": 1, "address": 1, "total": 1}
    assert report.missing_examples["date"] == ["X7"]


@needs_sroie
@pytest.mark.parametrize(
    ("field", "floor"), [("company", 0.99), ("date", 0.99), ("address", 0.98), ("total", 0.96)]
)
def test_nearly_all_real_receipts_have_their_fields_placed(
    imported: tuple[list[DraftReceipt], ImportReport], field: str, floor: float
) -> None:
    _, report = imported
    assert report.receipts == 626
    assert report.placed[field] + report.missing[field] == report.receipts
    assert report.placed[field] / report.receipts >= floor


@needs_sroie
def test_real_receipts_lose_no_text(imported: tuple[list[DraftReceipt], ImportReport]) -> None:
    for receipt, draft in zip(read_sroie(SROIE), imported[0], strict=True):
        assert [line.text for line in draft.lines] == [
            " ".join(text.split()) for text in receipt.texts if text.strip()
        ]


@needs_sroie
def test_a_real_total_is_at_most_one_amount_of_a_line(
    imported: tuple[list[DraftReceipt], ImportReport],
) -> None:
    for draft in imported[0]:
        lines = [line for line in draft.lines if any(word.label == "GRAND_TOTAL" for word in line.words)]
        assert len(lines) <= 1
