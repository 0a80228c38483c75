"""The outcome table: what each outcome does to message, record and result; the result of an attempt."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from messages.child_protocol import ChildExit, ErrorClass, Exported, Failure, Trained


class Ending(Enum):
    """The ways in which handling a message ends."""

    DONE = auto()
    NEVER = auto()
    LATER = auto()
    HOST_FAULT = auto()
    UNREADABLE = auto()
    CANCELLED = auto()
    STOPPED = auto()
    LOST = auto()


class MessageFate(Enum):
    """The fate of the message in its queue."""

    DELETE = auto()
    SHOW_LATER = auto()
    SHOW_NOW = auto()
    BURY = auto()
    LEAVE = auto()


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row: the message's fate, the record's new status (None leaves it), whether a result goes out."""

    message: MessageFate
    status: Literal["succeeded", "failed", "cancelled", "interrupted"] | None
    result: bool


OUTCOMES: dict[Ending, Meaning] = {
    Ending.DONE: Meaning(MessageFate.DELETE, "succeeded", result=True),
    Ending.NEVER: Meaning(MessageFate.DELETE, "failed", result=True),
    Ending.LATER: Meaning(MessageFate.SHOW_LATER, None, result=False),
    Ending.HOST_FAULT: Meaning(MessageFate.SHOW_LATER, "interrupted", result=False),
    Ending.UNREADABLE: Meaning(MessageFate.BURY, None, result=True),
    Ending.CANCELLED: Meaning(MessageFate.DELETE, "cancelled", result=True),
    Ending.STOPPED: Meaning(MessageFate.SHOW_NOW, "interrupted", result=False),
    Ending.LOST: Meaning(MessageFate.LEAVE, None, result=False),
}


def outcome_of(ending: Ending) -> Literal["succeeded", "failed", "cancelled"]:
    """The outcome that an ending decides.

    Raises:
        ValueError: the ending decides nothing; another attempt follows.
    """
    status = OUTCOMES[ending].status
    if status is None or status == "interrupted":
        raise ValueError(f"{ending.name} decides nothing")
    return status


# A job whose lease ran out under its child is interrupted: this is no failure, and another attempt goes on.
INTERRUPTED_EXITS = {ChildExit.STOPPED, ChildExit.LAPSED}


MOST_CHARS = 10_000
"""Bytes of a reason: lease, record and result hold it, and an item of the table holds 400 KB."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The ending of an attempt.

    Attributes:
        ending: the row of the outcome table.
        error_class: kind of the failure, for NEVER, LATER and HOST_FAULT.
        message: why, for a person.
        report: what a successful child handed over.
        seconds: how long the attempt took.
    """

    ending: Ending
    error_class: ErrorClass | None = None
    message: str | None = None
    report: Trained | Exported | None = None
    seconds: float = 0.0

    @classmethod
    def failed(cls, error_class: ErrorClass, message: str) -> AttemptResult:
        """A failure: its class says whether the host is at fault, and whether another attempt can help."""
        if error_class.of_host:
            ending = Ending.HOST_FAULT
        else:
            ending = Ending.LATER if error_class.retryable else Ending.NEVER
        return cls(ending, error_class=error_class, message=message[:MOST_CHARS])


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The job cannot be begun; carries the verdict."""

    def __init__(self, error_class: ErrorClass, message: str) -> None:
        super().__init__(message)
        self.verdict = AttemptResult.failed(error_class, message)


def result_of_exit(
    code: int,
    last: Trained | Exported | Failure | None,
    last_lines: list[str],
    memory_kills: int | None = None,
) -> AttemptResult:
    """The attempt result that follows from a child's exit code and its last report.

    Args:
        code: as the process left it, negative for a signal.
        last: its last report beside progress.
        last_lines: the end of its log.
        memory_kills: processes of this control group that the kernel killed for memory while it ran; None
            where it does not count them (`workers.host.oom_kills`).
    """
    if code == ChildExit.DONE and isinstance(last, Trained | Exported):
        return AttemptResult(Ending.DONE, report=last)
    if code in INTERRUPTED_EXITS:
        return AttemptResult(Ending.STOPPED)
    if isinstance(last, Failure):
        return AttemptResult.failed(last.error_class, last.message)
    if code == -signal.SIGKILL:
        return _judge_kill(memory_kills)
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    said = last_lines[-1] if last_lines else "it said nothing"
    return AttemptResult.failed(ErrorClass.CRASHED, f"The process ended with {how}; its last words: {said}")


def _judge_kill(memory_kills: int | None) -> AttemptResult:
    if memory_kills == 0:
        return AttemptResult.failed(
            ErrorClass.HOST, "The process was killed from outside (SIGKILL), and not for the memory it took."
        )
    certainty = "The kernel killed the process" if memory_kills else "The process was killed, most likely"
    return AttemptResult.failed(
        ErrorClass.MEMORY,
        f"{certainty} for the host memory it took (SIGKILL). Use a host with more memory, or a smaller "
        "batch_size for a training.",
    )
