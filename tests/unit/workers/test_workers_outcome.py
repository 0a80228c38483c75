"""The table of endings, and what a child's exit means."""

from __future__ import annotations

import signal

import pytest

from messages.child_protocol import ChildExit, ErrorClass, Failure, Trained
from workers.runtime.outcome import (
    OUTCOMES,
    AttemptResult,
    Ending,
    MessageFate,
    Refused,
    outcome_of,
    result_of_exit,
)

TRAINED = Trained(run_s3_uri="s3://b/r/", best_checkpoint_s3_uri="s3://b/r/best/", results={})


def test_every_ending_has_its_row() -> None:
    assert set(OUTCOMES) == set(Ending)


@pytest.mark.parametrize(
    ("ending", "fate", "status", "result"),
    [
        (Ending.DONE, MessageFate.DELETE, "succeeded", True),
        (Ending.NEVER, MessageFate.DELETE, "failed", True),
        (Ending.LATER, MessageFate.SHOW_LATER, None, False),
        (Ending.HOST_FAULT, MessageFate.SHOW_LATER, "interrupted", False),
        (Ending.UNREADABLE, MessageFate.BURY, None, True),
        (Ending.CANCELLED, MessageFate.DELETE, "cancelled", True),
        (Ending.STOPPED, MessageFate.SHOW_NOW, "interrupted", False),
        (Ending.LOST, MessageFate.LEAVE, None, False),
    ],
)
def test_the_rows_say_what_the_design_says(
    ending: Ending, fate: MessageFate, status: str, result: bool
) -> None:
    meaning = OUTCOMES[ending]
    assert (meaning.message, meaning.status, meaning.result) == (fate, status, result)


@pytest.mark.parametrize(
    "ending", [Ending.LATER, Ending.HOST_FAULT, Ending.STOPPED, Ending.LOST, Ending.UNREADABLE]
)
def test_an_ending_that_leaves_the_job_open_decides_nothing(ending: Ending) -> None:
    with pytest.raises(ValueError, match="decides nothing"):
        outcome_of(ending)


def test_a_child_that_ends_well_without_a_report_has_not_succeeded() -> None:
    assert result_of_exit(0, TRAINED, []).ending is Ending.DONE
    assert result_of_exit(0, None, []).ending is Ending.LATER


def test_a_child_that_gives_its_reason_is_believed() -> None:
    data = result_of_exit(ChildExit.PERMANENT, Failure(error_class=ErrorClass.DATA, message="no labels"), [])
    assert (data.ending, data.message) == (Ending.NEVER, "no labels")
    network = result_of_exit(ChildExit.RETRY, Failure(error_class=ErrorClass.NETWORK, message="gone"), [])
    assert network.ending is Ending.HOST_FAULT
    throttled = result_of_exit(ChildExit.RETRY, Failure(error_class=ErrorClass.THROTTLED, message="slow"), [])
    assert throttled.ending is Ending.LATER


def test_a_child_that_was_killed_from_outside_is_taken_for_out_of_memory() -> None:
    assert result_of_exit(-signal.SIGKILL, None, []).error_class is ErrorClass.MEMORY


def test_any_other_death_is_named_with_the_last_words() -> None:
    verdict = result_of_exit(-signal.SIGSEGV, None, ["first", "last"])
    assert verdict.message is not None
    assert "SIGSEGV" in verdict.message
    assert "last" in verdict.message
    assert "said nothing" in str(result_of_exit(9, None, []).message)


def test_a_refusal_carries_its_verdict() -> None:
    assert Refused(ErrorClass.NAME_IN_USE, "taken").verdict == AttemptResult.failed(
        ErrorClass.NAME_IN_USE, "taken"
    )
    assert Refused(ErrorClass.NETWORK, "gone").verdict.ending is Ending.HOST_FAULT
