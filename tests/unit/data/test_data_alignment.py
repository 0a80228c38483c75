"""The alignment of SROIE's four fields with the words of a receipt, one way to go wrong a test."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from receipt_layoutlm.data.importers.field_alignment import Labelled, label_receipt
from receipt_layoutlm.data.importers.sroie import SroieReceipt
from receipt_layoutlm.data.receipt_draft import PixelBox

LEFT, RIGHT = (20.0, 200.0), (400.0, 480.0)
ROW_HEIGHT = 40.0


def label(rows: Iterable[str | tuple[str, ...]], **entities: str) -> Labelled:
    """Label a receipt whose rows have a text at the left and perhaps one at the right."""
    texts: list[str] = []
    boxes: list[PixelBox] = []
    for number, row in enumerate(rows):
        cells = (row,) if isinstance(row, str) else row
        for text, (x0, x1) in zip(cells, (LEFT, RIGHT), strict=False):
            texts.append(text)
            boxes.append((x0, 20 + number * ROW_HEIGHT, x1, 45 + number * ROW_HEIGHT))
    return label_receipt(SroieReceipt("X1", 500, 2000, entities, tuple(texts), tuple(boxes)))


def labelled(result: Labelled, name: str) -> list[str]:
    return [word.text for word in result.draft.words if word.label == name]


def rows_of(result: Labelled, name: str) -> list[str]:
    return [line.text for line in result.draft.lines if any(word.label == name for word in line.words)]


def test_a_company_is_found_when_its_spacing_differs() -> None:
    result = label(["TIME LESS KITCHENETTE", "TEL 1"], company="TIMELESS KITCHENETTE")
    assert labelled(result, "MERCHANT_NAME") == ["TIME", "LESS", "KITCHENETTE"]


def test_a_company_is_found_when_its_case_differs() -> None:
    result = label(["Popular Book Co."], company="POPULAR BOOK CO")
    assert labelled(result, "MERCHANT_NAME") == ["Popular", "Book", "Co."]


def test_a_company_is_found_when_its_punctuation_differs() -> None:
    result = label(["MR D.I.Y (M) SDN. BHD. (860671-D)"], company="MR. DIY (M) SDN BHD")
    assert labelled(result, "MERCHANT_NAME") == ["MR", "D.I.Y", "(M)", "SDN.", "BHD."]


def test_a_company_is_found_over_two_lines() -> None:
    result = label(["POPULAR BOOK", "CO. (M) SDN BHD", "NO 8"], company="POPULAR BOOK CO. (M) SDN BHD")
    assert rows_of(result, "MERCHANT_NAME") == ["POPULAR BOOK", "CO. (M) SDN BHD"]


def test_a_company_is_found_despite_a_wrong_character() -> None:
    result = label(["TEO HENG STATIONERY & BOOKS"], company="TED HENG STATIONERY & BOOKS")
    assert rows_of(result, "MERCHANT_NAME") == ["TEO HENG STATIONERY & BOOKS"]


def test_a_company_that_is_not_printed_labels_nothing() -> None:
    result = label(["HORNG OF SUCKY BONES", "RIBS PLATTER"], company="TIMELESS KITCHENETTE SDN BHD")
    assert result.missing >= {"company"}
    assert labelled(result, "MERCHANT_NAME") == []


def test_a_company_printed_twice_is_labelled_at_the_head() -> None:
    rows = ["SUN MART SDN BHD", "ITEM", "ITEM", "ITEM", "ITEM", "THANK YOU", "SUN MART SDN BHD"]
    result = label(rows, company="SUN MART SDN BHD")
    assert [line.words[0].label for line in result.draft.lines] == ["MERCHANT_NAME", *[None] * 6]


def test_an_address_is_found_over_several_lines() -> None:
    rows = ["SUN MART", "NO. 12", "JALAN TAMPOI 7/4", "81200 JOHOR BAHRU", "TEL : 07-1234567"]
    result = label(rows, company="SUN MART", address="NO 12, JALAN TAMPOI 7/4, 81200 JOHOR BAHRU, JOHOR")
    assert rows_of(result, "ADDRESS_LINE") == rows[1:4]


def test_an_address_is_found_when_its_lines_are_listed_out_of_order() -> None:
    receipt = SroieReceipt(
        "X1",
        500,
        900,
        {"address": "12 LONG ROAD, 81200 JOHOR BAHRU"},
        ("81200 JOHOR BAHRU", "TAX INVOICE", "12 LONG ROAD"),
        ((10, 60, 200, 80), (10, 90, 200, 110), (10, 30, 200, 50)),
    )
    assert rows_of(label_receipt(receipt), "ADDRESS_LINE") == ["81200 JOHOR BAHRU", "12 LONG ROAD"]


def test_an_address_leaves_captions_in_its_line_alone() -> None:
    result = label(["HQ ADD: LOT 11995", "41400 KLANG"], address="LOT 11995, BATU 2, 41400 KLANG")
    assert labelled(result, "ADDRESS_LINE") == ["LOT", "11995", "41400", "KLANG"]


def test_a_number_of_the_address_that_stands_far_from_it_is_left_alone() -> None:
    rows = ["NO 27 JALAN SULTAN ISMAIL", "50250 KUALA LUMPUR", *["TEH TARIK"] * 6, "27"]
    result = label(rows, address="NO 27 JALAN SULTAN ISMAIL 50250 KUALA LUMPUR")
    assert rows_of(result, "ADDRESS_LINE") == rows[:2]


def test_a_place_name_inside_another_text_is_not_the_address() -> None:
    rows = ["MPH ONE UTAMA PHASE", "1 UTAMA SHOPPING CENTRE", "LEBUH BANDAR UTAMA"]
    result = label(rows, address="1 UTAMA SHOPPING CENTRE, LEBUH BANDAR UTAMA")
    assert rows_of(result, "ADDRESS_LINE") == rows[1:]


def test_the_company_keeps_words_that_the_address_has_too() -> None:
    result = label(["JOHOR FOOD", "1 JOHOR FOOD STREET"], company="JOHOR FOOD", address="1 JOHOR FOOD STREET")
    assert labelled(result, "MERCHANT_NAME") == ["JOHOR", "FOOD"]
    assert labelled(result, "ADDRESS_LINE") == ["1", "JOHOR", "FOOD", "STREET"]


def test_only_the_date_of_a_datetime_is_labelled() -> None:
    result = label(["DATE : 09/01/2019 8:01:11 PM"], date="09/01/2019")
    assert labelled(result, "DATE") == ["09/01/2019"]


@pytest.mark.parametrize(
    ("printed", "known"),
    [
        ("02 APR 2018 18:31", "02 APR 2018"),
        ("2-4-2018", "02/04/2018"),
        ("2018-04-02", "02/04/2018"),
        ("02 April 2018", "02/04/18"),
        ("20180402", "02/04/2018"),
        ("APR 2, 2018", "02/04/2018"),
        ("26/02/1808:11", "26/02/18"),
    ],
)
def test_a_date_is_found_in_other_spellings(printed: str, known: str) -> None:
    assert "date" in label([printed], date=known).placed


def test_every_print_of_the_date_is_labelled() -> None:
    result = label(["DATE: 15/12/2016", "PRINT DATE: 15/12/2016"], date="15/12/2016")
    assert labelled(result, "DATE") == ["15/12/2016", "15/12/2016"]


def test_another_date_is_not_labelled() -> None:
    result = label(["SINCE 01/02/1999", "28-11-18"], date="28-01-18")
    assert labelled(result, "DATE") == []


def test_day_and_month_exchanged_do_not_count_beside_the_same_spelling() -> None:
    result = label(["09/01/2019", "EXPIRES 01/09/2019"], date="09/01/2019")
    assert rows_of(result, "DATE") == ["09/01/2019"]


def total_row(*rows: tuple[str, str], total: str = "31.00") -> list[str]:
    """The caption beside each amount that was labelled as the total."""
    words = label(rows, total=total).draft.lines
    captions = zip(words[::2], words[1::2], strict=True)
    return [caption.text for caption, amount in captions if any(word.label for word in amount.words)]


def test_the_total_wins_over_the_same_amount_as_subtotal() -> None:
    assert total_row(("SUBTOTAL", "31.00"), ("TOTAL", "31.00"), ("GST", "0.00")) == ["TOTAL"]


def test_the_total_wins_over_the_same_amount_as_cash() -> None:
    assert total_row(("TOTAL", "31.00"), ("CASH", "31.00"), ("CHANGE", "0.00")) == ["TOTAL"]


def test_the_total_wins_over_the_same_amount_as_an_item() -> None:
    assert total_row(("PLASTIC BAG", "31.00"), ("JUMLAH", "31.00")) == ["JUMLAH"]


def test_the_grand_total_wins_over_a_total() -> None:
    assert total_row(("GRAND TOTAL", "31.00"), ("TOTAL", "31.00")) == ["GRAND TOTAL"]


def test_the_total_with_tax_wins_over_the_total_without() -> None:
    rows = (("TOTAL (EXCLUDING GST)", "31.00"), ("TOTAL (INCLUSIVE OF GST)", "31.00"))
    assert total_row(*rows) == ["TOTAL (INCLUSIVE OF GST)"]


def test_the_rounded_total_wins_over_the_cash() -> None:
    assert total_row(("TOTAL", "30.98"), ("ROUNDING", "31.00"), ("CASH", "31.00")) == ["ROUNDING"]


def test_of_two_totals_the_lower_one_is_labelled() -> None:
    rows = [("TOTAL :", "31.00"), ("GST", "1.00"), ("TOTAL :", "31.00")]
    lines = label(rows, total="31.00").draft.lines
    assert [line.words[0].label for line in lines] == [None] * 5 + ["GRAND_TOTAL"]


def test_a_row_of_the_tax_summary_is_not_the_total() -> None:
    rows = (("TOTAL", "31.00"), ("GST SUMMARY", "AMOUNT"), ("TOTAL", "31.00 0.00"))
    lines = label(rows, total="31.00").draft.lines
    assert lines[1].words[0].label == "GRAND_TOTAL"
    assert lines[5].words[0].label is None


def test_an_amount_without_any_cue_is_not_the_total() -> None:
    assert label([("PLASTIC BAG", "31.00"), ("CASH", "31.00")], total="31.00").missing >= {"total"}


@pytest.mark.parametrize(
    ("printed", "known"),
    [
        ("$8.20", "8.20"),
        ("8.20", "$8.20"),
        ("RM31.00", "31.00"),
        ("31.00", "RM 31.00"),
        ("1,007.50", "1007.50"),
    ],
)
def test_a_total_is_found_in_other_spellings(printed: str, known: str) -> None:
    assert labelled(label([("TOTAL", printed)], total=known), "GRAND_TOTAL") == [printed]


def test_the_currency_beside_the_total_is_left_alone() -> None:
    assert labelled(label([("TOTAL", "RM 31.00")], total="31.00"), "GRAND_TOTAL") == ["31.00"]


def test_a_caption_in_the_amounts_own_line_counts() -> None:
    assert labelled(label(["NETT TOTAL: $8.20", "CASH $8.20"], total="8.20"), "GRAND_TOTAL") == ["$8.20"]


def test_a_field_that_was_not_annotated_is_missing() -> None:
    result = label(["ANY SHOP"], company="ANY SHOP", total="")
    assert result.placed == {"company"}
    assert result.missing == {"date", "address", "total"}
