from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt_dynamo import keys
from receipt_dynamo.clock import now, read_time, write_time

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=ZONES))  # noqa: DTZ001
def test_a_moment_is_written_in_utc_with_microseconds_and_reads_back(moment: datetime) -> None:
    text = write_time(moment)
    assert len(text) == len("2025-11-20T14:46:00.123456+00:00")
    assert text.endswith("+00:00")
    assert read_time(text) == moment


@pytest.mark.parametrize("zone", ["+00:00", "Z", ""])
def test_a_reader_takes_an_offset_a_z_and_no_zone_as_utc(zone: str) -> None:
    expected = datetime(2025, 11, 20, 14, 46, 0, 123456, tzinfo=UTC)
    assert read_time(f"2025-11-20T14:46:00.123456{zone}") == expected


def test_a_moment_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        write_time(datetime(2025, 11, 20))  # noqa: DTZ001 - the fault under test


def test_now_is_in_the_tables_spelling() -> None:
    moment = now()
    assert write_time(read_time(moment)) == moment


@given(st.integers(0, 99_999), st.integers(0, 99_999), st.integers(0, 99_999), st.text("ABC_", min_size=1))
def test_a_label_key_parses_to_what_built_it(receipt: int, line: int, word: int, label: str) -> None:
    fields = {"receipt_id": receipt, "line_id": line, "word_id": word, "label": label}
    assert keys.LABEL_SK.parse(keys.LABEL_SK.build(**fields)) == fields


def test_a_metric_name_may_contain_the_separator() -> None:
    template = keys.LAYOUTS["JOB_METRIC"]["SK"]
    assert template.parse("METRIC#a#b#2025")["metric_name"] == "a#b"


@pytest.mark.parametrize("key", ["RECEIPT#1", "RECEIPT#000001", "RECEIPT#0000x", "RECEIPT#00001#LINE#00001"])
def test_a_malformed_key_is_refused_with_the_form_it_should_have(key: str) -> None:
    with pytest.raises(ValueError, match="must look like 'RECEIPT#"):
        keys.RECEIPT_SK.parse(key)


def test_a_lease_stands_in_the_partition_of_its_owner() -> None:
    assert keys.lease_pk("train", "1") == "JOB#1"
    assert keys.lease_pk("export", "1") == "COREML_EXPORT#1"


def test_a_labels_index_key_is_padded_to_forty_characters() -> None:
    assert len(keys.LAYOUTS["RECEIPT_WORD_LABEL"]["GSI1PK"].build(label="TAX")) == 40
