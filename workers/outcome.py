"""What each ending means for message, record and result: one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal


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
    """What becomes of the message."""

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
