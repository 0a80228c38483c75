"""Classes of failure: which may help when tried again, and which lie with the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from messages.child_protocol import ErrorClass

OPERATIONS = Path(__file__).parent.parent.parent.parent / "docs" / "operations.md"
OF_HOST = {
    ErrorClass.SETUP,
    ErrorClass.CLOCK,
    ErrorClass.DISK,
    ErrorClass.NETWORK,
    ErrorClass.CREDENTIALS,
}


@pytest.mark.parametrize("error_class", ErrorClass)
def test_only_what_lies_with_the_host_is_said_to(error_class: ErrorClass) -> None:
    assert error_class.of_host == (error_class in OF_HOST)


@pytest.mark.parametrize("error_class", OF_HOST)
def test_what_lies_with_the_host_may_succeed_later(error_class: ErrorClass) -> None:
    assert error_class.retryable


@pytest.mark.parametrize("error_class", [one for one in ErrorClass if one.retryable])
def test_operations_say_what_to_do_about_what_was_tried_several_times(error_class: ErrorClass) -> None:
    assert f"`{error_class}`" in OPERATIONS.read_text(encoding="utf-8")
