from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt_dynamo.attribute_values import read_value, write_value
from receipt_dynamo.errors import InvalidValue

NUMBERS = st.integers(-(10**37), 10**37) | st.floats(-1e15, 1e15).filter(
    lambda number: number == 0 or abs(number) > 1e-100
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_reads_back_equal(value: Any) -> None:
    assert read_value("a", write_value("a", value)) == value


@given(st.booleans())
def test_a_truth_value_is_not_mistaken_for_a_number(value: bool) -> None:
    assert write_value("a", value) == {"BOOL": value}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), Decimal("NaN")])
def test_a_number_without_a_form_is_refused_with_its_path(number: float | Decimal) -> None:
    with pytest.raises(InvalidValue, match=r"metrics\.eval_loss\[1\] is .*cannot hold"):
        write_value("metrics", {"eval_loss": [1, number]})


@pytest.mark.parametrize("number", [10**38 + 1, 1e126, 1e-131, Decimal("0." + "1" * 39)])
def test_a_number_beyond_dynamodb_is_refused(number: float | Decimal) -> None:
    with pytest.raises(InvalidValue, match=r"a is .*38 digits"):
        write_value("a", number)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("1.0", 1), ("0.000000000000", 0), ("1E+2", 100), ("5e-05", 5e-05), ("-12.5", -12.5)],
)
def test_whole_numbers_read_as_int_and_others_as_float(text: str, number: float) -> None:
    read = read_value("a", {"N": text})
    assert read == number
    assert type(read) is type(number)


def test_an_integer_keeps_every_digit() -> None:
    assert read_value("a", write_value("a", 12345678901234567890123)) == 12345678901234567890123


def test_a_fraction_too_fine_for_a_float_is_still_read_as_one() -> None:
    assert isinstance(read_value("a", {"N": "90071992547409930.5"}), float)


@pytest.mark.parametrize("text", ["", "one", "nan", "Infinity"])
def test_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not a number"):
        read_value("a", {"N": text})


def test_a_python_type_without_a_form_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="a is a set; convert it"):
        write_value("a", {1})


def test_a_map_key_that_is_no_text_is_refused_with_the_spelling_to_use() -> None:
    with pytest.raises(InvalidValue, match=r"has the key 3; .*write '3'"):
        write_value("id2label", {3: "O"})


@pytest.mark.parametrize("value", [{}, {"S": "a", "N": "1"}, {"SS": ["a"]}])
def test_an_attribute_value_of_another_shape_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=r"^a "):
        read_value("a", value)
