"""Attributes of a dead letter: written, cut to size, and read again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messages.errors import Fault
from workers.sqs.message_attributes import (
    BRIEF_CHARS,
    FAULTS,
    MAX_FAULTS,
    ORIGINAL,
    dead_letter_attributes,
    of_texts,
    original_of,
    read_faults,
    texts_of,
    write_faults,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
LABEL = st.sampled_from(["", ".float", ".custom label"])
ATTRIBUTE: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda label, text: {"DataType": f"String{label}", "StringValue": text}, LABEL, TEXT),
    st.builds(lambda label, n: {"DataType": f"Number{label}", "StringValue": str(n)}, LABEL, st.integers()),
    st.builds(lambda label, data: {"DataType": f"Binary{label}", "BinaryValue": data}, LABEL, st.binary()),
)


@given(original=st.dictionaries(TEXT, ATTRIBUTE, max_size=10))
def test_what_a_message_came_with_is_read_again_as_it_was(original: dict[str, dict[str, Any]]) -> None:
    for attributes in dead_letter_attributes(original, {"error_class": "message"})[:2]:
        assert original_of(attributes) == original


def test_each_burial_takes_less_room_and_the_last_is_the_message_as_it_came() -> None:
    original = of_texts({"sender": "somebody"})
    reasons = {"error_class": "message", "error_message": "x" * 5000, FAULTS: "[]"}
    full, brief, bare = dead_letter_attributes(original, reasons)
    assert texts_of(full) == {**reasons, ORIGINAL: texts_of(full)[ORIGINAL]}
    assert FAULTS not in brief
    assert len(texts_of(brief)["error_message"]) == BRIEF_CHARS
    assert bare == original


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        '{"a": 1}',
        '{"a": {"type": "String"}}',
        '{"a": {"type": "Binary", "value": "no base64"}}',
    ],
)
def test_an_attribute_of_a_sender_that_only_has_our_name_is_not_taken_for_ours(text: str) -> None:
    assert original_of(of_texts({ORIGINAL: text, "error_class": "made up"})) is None


@given(text=st.text())
@example(text="\x01\x1b\ufffe\uffff")
@example(text="\ud800")
def test_no_text_holds_what_sqs_refuses(text: str) -> None:
    value = texts_of(of_texts({"error_message": f"a{text}"}))["error_message"]
    assert value.encode("utf-8")
    refused = {*map(chr, range(32)), "\ufffe", "\uffff"} - {"\t", "\n", "\r"}
    assert not refused & set(value)


def test_an_empty_text_makes_no_attribute() -> None:
    assert of_texts({"worker": "", "error_class": "message"}).keys() == {"error_class"}


@given(faults=st.lists(st.builds(Fault, st.text(), st.text()), max_size=5))
def test_faults_are_read_again_as_they_were_written(faults: list[Fault]) -> None:
    assert read_faults(write_faults(faults)) == faults


def test_of_very_many_faults_the_first_hundred_are_told_and_how_many_more_there_are() -> None:
    faults = [Fault(f"field{n}", "is not a field") for n in range(MAX_FAULTS + 7)]
    told = json.loads(write_faults(faults))
    assert len(told) == MAX_FAULTS + 1
    assert "7 more" in told[-1]["problem"]


@pytest.mark.parametrize("text", ["", "x", "{}", '[{"field": "a"}]'])
def test_what_is_no_list_of_faults_is_none(text: str) -> None:
    assert read_faults(text) == []
