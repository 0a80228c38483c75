"""The one error of this package: an invalid body, with all its faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_FAULTS_SHOWN = 20
MAX_VALUE_CHARS = 80


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a body: where (`hyperparameters.epochs`, or `body` for all of it) and what."""

    field: str
    problem: str

    def __str__(self) -> str:
        """`field: problem`."""
        return f"{self.field}: {self.problem}"


class InvalidMessage(ValueError):  # noqa: N818 - the name that the architecture gives it
    """A body that cannot become a message; nothing but sending a better one helps.

    Attributes:
        kind: "train" or "export", what the queue takes.
        faults: everything that is wrong, so that a sender mends it in one go.
        job_id: the id that the body carries, where one can be read, so that a result can be addressed.
    """

    def __init__(self, kind: str, faults: Sequence[Fault], job_id: str | None = None) -> None:
        self.kind = kind
        self.faults = tuple(faults)
        self.job_id = job_id
        shown = [str(fault) for fault in self.faults[:MAX_FAULTS_SHOWN]]
        hidden = len(self.faults) - len(shown)
        if hidden:
            shown.append(f"and {hidden} more")
        super().__init__(f"not a valid {kind} job: " + "; ".join(shown))


def shorten(value: object) -> str:
    """`repr(value)` cut to a length that fits a log line and an SQS attribute."""
    text = repr(value)
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + "…"
