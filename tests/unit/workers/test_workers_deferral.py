"""Visibility of messages that no worker can handle now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from receipt_dynamo.clock import write_time
from workers.runtime.deferral import hidden_seconds, seconds_until_due
from workers.sqs.queue import Received
from workers.sqs.queue_definitions import MAX_RECEIVES, RETENTION_SECONDS

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def received(count: int = 1, **attributes: str) -> Received:
    typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    return Received("m", "{}", "handle", receive_count=count, typed_attributes=typed)


def test_a_message_is_kept_to_the_end_of_its_retention_before_it_is_received_to_death() -> None:
    assert sum(hidden_seconds(received(n)) for n in range(1, MAX_RECEIVES + 1)) > RETENTION_SECONDS


def test_the_first_looks_come_soon() -> None:
    assert sum(hidden_seconds(received(n)) for n in range(1, 5)) <= 150
    assert hidden_seconds(received(1), 91) == 91


def test_a_message_waits_until_it_is_due() -> None:
    due = write_time(NOW + timedelta(hours=3))
    assert seconds_until_due(received(not_before=due), NOW) == 3 * 3600
    assert seconds_until_due(received(not_before=due), NOW + timedelta(hours=4)) == 0


@pytest.mark.parametrize("said", ["soon", "9999", "2026-13-01T00:00:00+00:00"])
def test_what_cannot_be_read_defers_nothing(said: str) -> None:
    assert seconds_until_due(received(not_before=said), NOW) == 0
    assert seconds_until_due(received(), NOW) == 0
