"""The event log of a schedule, line by line, for the analysis of a failure."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog

from tests.simulation.loop import PROCESS

_NOT_TOLD = ("event", "exc_info", "kind", "job_id", "message_id", "attempt")
"""Fields of a log line that the story's own lines say already."""


class Line(NamedTuple):
    """One thing that happened: the virtual second, to or by whom, and what."""

    at: float
    who: str
    what: str


@dataclass(eq=False)
class Story:
    """The lines so far, and the defects that workers have logged."""

    now: Callable[[], float]
    lines: list[Line] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)

    def note(self, who: str, what: str) -> None:
        """Add a line."""
        self.lines.append(Line(self.now(), who, what))

    def hear(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        """Take a log line of a worker, as structlog's last processor."""
        process = PROCESS.get()
        fields = ", ".join(f"{name}={value}" for name, value in event.items() if name not in _NOT_TOLD)
        said = f"says: {event['event']}" + (f" ({fields})" if fields else "")
        self.note(process.name if process else "world", said)
        if event.get("exc_info"):
            self.defects.append(said)
        raise structlog.DropEvent

    def __str__(self) -> str:
        return "\n".join(f"{line.at:10.3f}  {line.who:20} {line.what}" for line in self.lines)
