"""The size limit of an answer: whatever the records hold, no answer fills an assistant's context."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

T = TypeVar("T")

ANSWER_CHARS = 24_000
"""Characters of an answer, which is JSON with an indent of two: about eight thousand tokens."""
ROOM = ANSWER_CHARS - 3000
"""Characters for the entries of a list; the rest is for the fields beside it."""
_DIGITS = 6
_NAMED = 5
"""So many of the places that were cut are named."""
_ELLIPSIS = "…"


class AnswerLimits(NamedTuple):
    """Limits of an answer: characters of one text, entries of one list or mapping."""

    text: int
    entries: int


NONE = AnswerLimits(ANSWER_CHARS, ANSWER_CHARS)
_TIGHTER = tuple(
    AnswerLimits(*one) for one in ((2000, 80), (500, 40), (200, 20), (100, 10), (60, 5), (40, 2), (16, 1))
)


@dataclass(slots=True)
class Lean:
    """Facts as plain data: what is not known left out, numbers with six digits, nothing past the limits.

    Attributes:
        cuts: what was cut, by its place in the answer.
    """

    limits: AnswerLimits = NONE
    cuts: dict[str, str] = field(default_factory=dict)

    def of(self, value: Any, place: str = "") -> Any:
        """A value as it is shown."""
        if isinstance(value, BaseModel):
            shown = ((name, about, getattr(value, name)) for name, about in type(value).model_fields.items())
            return {
                name: self.of(one, _inside(place, name))
                for name, about, one in shown
                if about.is_required() or one not in (None, (), {})
            }
        if isinstance(value, Mapping):
            kept = self._kept(list(value.items()), place)
            return {
                self._text(str(name), place): self.of(one, _inside(place, str(name))) for name, one in kept
            }
        if isinstance(value, list | tuple):
            return [self.of(one, place) for one in self._kept(value, place)]
        if isinstance(value, str):
            return self._text(value, place)
        return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value

    def _kept(self, entries: Sequence[T], place: str) -> Sequence[T]:
        if len(entries) > self.limits.entries:
            self.cuts.setdefault(place, f"{place} {self.limits.entries} of {len(entries)}")
        return entries[: self.limits.entries]

    def _text(self, text: str, place: str) -> str:
        if len(text) <= self.limits.text:
            return text
        self.cuts.setdefault(place, f"{place} to {self.limits.text} characters")
        return text[: self.limits.text - 1] + _ELLIPSIS


def fit(answer: BaseModel, rest: str) -> dict[str, Any]:
    """An answer as plain data within the bound; where that cuts it, `more` says what and where the rest is.

    Args:
        answer: with a field `more`.
        rest: how to get what is cut.
    """
    for limits in (NONE, *_TIGHTER):
        lean = Lean(limits)
        shown: dict[str, Any] = lean.of(answer)
        if lean.cuts:
            named = ", ".join(list(lean.cuts.values())[:_NAMED])
            others = f" and {len(lean.cuts) - _NAMED} more" if len(lean.cuts) > _NAMED else ""
            shown["more"] = " ".join(filter(None, (shown.get("more"), f"Cut: {named}{others}. {rest}")))
        if size_of(shown) <= ANSWER_CHARS:
            return shown
    raise AssertionError(f"{type(answer).__name__} has fields without number")


def count_fitting(entries: Sequence[BaseModel], room: int = ROOM) -> int:
    """Count of the first entries that fit into so many characters of an answer; at least one."""
    taken = 0
    for number, entry in enumerate(entries):
        taken += size_of(Lean().of(entry), depth=2)
        if taken > room:
            return max(number, 1)
    return len(entries)


def size_of(shown: Any, depth: int = 0) -> int:
    """Characters that plain data take in an answer's text, so many levels inside it."""
    text = json.dumps(shown, indent=2, ensure_ascii=False)
    return len(text) + 2 * depth * (text.count("\n") + 1)


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
