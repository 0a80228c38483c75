"""Each failure mode is found where it is, says by what, and keeps quiet where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import pytest

from receipt_layoutlm.diagnosis.entity_errors import ITEMS, names_like
from receipt_layoutlm.diagnosis.evidence import FailureMode
from receipt_layoutlm.diagnosis.failure_modes import find_modes
from run_records.labels import LabelSet
from tests.unit.diagnosis.conftest import MakeCases, Printed, Said

DATE: Said = ("01/02/2025", "DATE", "B-DATE")
MISSED: Said = ("01/02/2025", "DATE", "O")
TOTAL: Said = ("9.50", "GRAND_TOTAL", "B-GRAND_TOTAL")
THANKS: Said = ("Thanks", None, "O")
GOOD = (DATE, THANKS, TOTAL)


def only(found: list[FailureMode], mode: str) -> FailureMode:
    [one] = [finding for finding in found if finding.mode == mode]
    return one


def names(found: list[FailureMode]) -> list[str]:
    return [finding.mode for finding in found]


def test_a_model_without_errors_has_no_failure_mode(make_cases: MakeCases) -> None:
    assert find_modes(make_cases([(number % 2 == 0, GOOD) for number in range(20)])) == []


def test_merchants_that_were_not_in_training_are_named_where_they_are_read_worse(
    make_cases: MakeCases,
) -> None:
    printed: Sequence[Printed] = [(True, GOOD)] * 8 + [(False, (MISSED, THANKS, TOTAL))] * 6
    found = only(find_modes(make_cases(printed)), "template coverage")
    assert found.numbers["f1_seen"] == 1
    assert found.numbers["f1_unseen"] == pytest.approx(2 / 3)
    assert 0 < found.numbers["difference_low"] <= found.numbers["difference_high"]
    assert (found.numbers["receipts_unseen"], found.numbers["share_of_lost_entities"]) == (6, 1)
    assert len(found.receipts) == 5
    assert set(found.examples) <= {"shop 0", "shop 1", "shop 2"}


@pytest.mark.parametrize(
    "printed",
    [
        [(True, GOOD)] * 8 + [(False, (MISSED, THANKS, TOTAL))] * 4,  # too few to say
        [(None, GOOD)] * 8 + [(None, (MISSED, THANKS, TOTAL))] * 8,  # nobody knows
        [(number % 2 == 0, GOOD if number < 8 else (MISSED, THANKS, TOTAL)) for number in range(16)],  # alike
    ],
)
def test_without_such_a_difference_nothing_is_said_of_merchants(
    make_cases: MakeCases, printed: Sequence[Printed]
) -> None:
    assert "template coverage" not in names(find_modes(make_cases(printed)))


def test_entities_with_other_bounds_and_amounts_for_amounts_are_a_matter_of_structure(
    make_cases: MakeCases,
) -> None:
    longer: list[Said] = [("Milk", "PRODUCT_NAME", "B-PRODUCT_NAME"), ("2", None, "I-PRODUCT_NAME")]
    swapped: Said = ("4.00", "GRAND_TOTAL", "B-LINE_TOTAL")
    found = only(
        find_modes(make_cases([(None, (*longer, THANKS, swapped))] * 3 + [(None, GOOD)] * 3)),
        "line-item structure",
    )
    assert found.numbers == {
        "lost_entities": 6,
        "share_of_lost_entities": 1,
        "wrong_bounds": 3,
        "another_amount": 3,
    }
    assert found.examples == ("GRAND_TOTAL as LINE_TOTAL: 4.00", "PRODUCT_NAME as PRODUCT_NAME: Milk")
    assert len(found.receipts) == 3


def test_names_with_other_bounds_are_no_matter_of_line_items(make_cases: MakeCases) -> None:
    longer: list[Said] = [
        ("ACME", "MERCHANT_NAME", "B-MERCHANT_NAME"),
        ("Main Street", None, "I-MERCHANT_NAME"),
    ]
    found = find_modes(make_cases([(None, (*longer, THANKS))] * 6))
    assert names(found) == ["entity bounds"]
    assert found[0].numbers["wrong_bounds"] == found[0].numbers["lost_entities"] == 6
    assert found[0].examples == ("MERCHANT_NAME as MERCHANT_NAME: ACME",)


def test_a_merged_label_is_an_amount_where_one_of_its_sources_is() -> None:
    labels = LabelSet(("DATE", "SUM"), MappingProxyType({"SUM": ("TAX", "GRAND_TOTAL"), "DATE": ("TIME",)}))
    assert names_like(labels, ITEMS) == {"SUM"}


def test_entities_that_were_not_seen_at_all_are_not_a_matter_of_structure(make_cases: MakeCases) -> None:
    printed = [(None, (MISSED, THANKS, TOTAL))] * 30
    assert "line-item structure" not in names(find_modes(make_cases(printed)))


def test_a_text_that_is_labelled_otherwise_elsewhere_is_a_mismatch_of_labels(make_cases: MakeCases) -> None:
    shop: Said = ("ACME", "MERCHANT_NAME", "B-MERCHANT_NAME")
    forgotten: Said = ("Acme,", None, "B-MERCHANT_NAME")
    printed: Sequence[Printed] = [(None, (shop, THANKS))] * 30 + [(None, (forgotten, THANKS))] * 5
    found = only(find_modes(make_cases(printed)), "label mismatch")
    assert found.numbers == {"words": 5, "share_of_wrong_words": 1}
    assert found.examples == ("Acme,: O here, MERCHANT_NAME on 30 other receipts",)
    assert len(found.receipts) == 5
    unsure = make_cases(printed, confidence=0.6)
    assert "label mismatch" not in names(find_modes(unsure))


def test_amounts_may_be_labelled_in_many_ways_without_contradiction(make_cases: MakeCases) -> None:
    price: Said = ("5.00", "LINE_TOTAL", "B-LINE_TOTAL")
    other: Said = ("5.00", "GRAND_TOTAL", "B-LINE_TOTAL")
    printed = [(None, (price, THANKS))] * 30 + [(None, (other, THANKS))] * 5
    assert "label mismatch" not in names(find_modes(make_cases(printed)))


def test_a_score_that_hangs_on_the_decoding_is_a_mismatch_of_the_evaluation(make_cases: MakeCases) -> None:
    # An I- of another label in the middle: default counting sees three entities where there is one.
    split: list[Said] = [
        ("Fresh", "PRODUCT_NAME", "B-PRODUCT_NAME"),
        ("cow", "PRODUCT_NAME", "I-DATE"),
        ("milk", "PRODUCT_NAME", "I-PRODUCT_NAME"),
    ]
    cases = make_cases([(None, (*split, THANKS))] * 6, confidence=0.5)
    found = only(find_modes(cases), "evaluation mismatch")
    assert found.numbers["f1"] == 0
    assert found.numbers["gain_low"] > 0
    assert "each word by itself 0.000" in found.says
    assert len(found.receipts) == 5


def test_a_score_that_is_not_what_the_training_recorded_is_said(make_cases: MakeCases) -> None:
    found = only(find_modes(make_cases([(None, GOOD)] * 3, recorded_f1=0.5)), "evaluation mismatch")
    assert found.numbers["f1_recorded"] == 0.5
    assert find_modes(make_cases([(None, GOOD)] * 3, recorded_f1=1.0)) == []


def test_a_label_that_is_worse_than_the_others_on_known_merchants_is_a_weakness(
    make_cases: MakeCases,
) -> None:
    printed: Sequence[Printed] = [
        (True, GOOD if number < 4 else (MISSED, THANKS, TOTAL)) for number in range(14)
    ]
    found = only(find_modes(make_cases(printed)), "model weakness")
    assert found.numbers["entities_DATE"] == 14
    assert found.numbers["f1_DATE"] == pytest.approx(2 * 4 / 14 / (1 + 4 / 14))
    assert "whose merchants were in training" in found.says
    assert found.examples == ("B-DATE as O",)
    assert "f1_GRAND_TOTAL" not in found.numbers


def test_a_model_that_finds_nothing_is_weak_though_no_label_is_worse_than_the_others(
    make_cases: MakeCases,
) -> None:
    nothing: list[Said] = [MISSED, THANKS, ("9.50", "GRAND_TOTAL", "O")]
    found = only(find_modes(make_cases([(None, nothing)] * 10)), "model weakness")
    assert (found.numbers["f1_DATE"], found.numbers["f1_GRAND_TOTAL"], found.numbers["f1_all"]) == (0, 0, 0)
    assert "whose merchants" not in found.says


def test_few_entities_are_no_evidence_of_weakness(make_cases: MakeCases) -> None:
    printed: Sequence[Printed] = [(True, (MISSED, THANKS, TOTAL))] * 5 + [(True, (THANKS, TOTAL))] * 9
    assert "model weakness" not in names(find_modes(make_cases(printed)))


def test_every_finding_carries_numbers_and_something_to_look_at(make_cases: MakeCases) -> None:
    swapped: Said = ("4.00", "GRAND_TOTAL", "B-LINE_TOTAL")
    printed: Sequence[Printed] = [(True, GOOD)] * 8 + [(False, (MISSED, THANKS, swapped))] * 12
    found = find_modes(make_cases(printed))
    assert names(found) == ["template coverage", "line-item structure"]
    for finding in found:
        assert finding.numbers
        assert finding.receipts
        assert finding.advice
