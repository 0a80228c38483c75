"""Markdown tables and escaping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], write_text: Callable[[str], str] = str
) -> str:
    """A table; numbers with three digits behind the point, None as a dash, text as `write_text` gives it."""
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(cell(value, write_text) for value in row)} |" for row in rows]
    return "\n".join(lines)


def cell(value: Any, write_text: Callable[[str], str] = str) -> str:
    """One value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else write_text(str(value))


def escape(text: str) -> str:
    """Escape foreign text, so that it stays text in Markdown."""
    return "".join(f"\\{char}" if char in r"\|`*_<>[]#" else char for char in " ".join(text.split()))
