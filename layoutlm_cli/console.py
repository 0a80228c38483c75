"""The console that commands print to, and how they print times, sizes and tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console()
errors = Console(stderr=True)
_UNITS = ("B", "KB", "MB", "GB")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under a title; a missing value is a dash."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        # Text, since what others wrote may look like rich's markup.
        shown.add_row(*(Text("-" if value is None else printable(str(value))) for value in row))
    console.print(shown)


def printable(text: str) -> str:
    """Text with every character escaped that a terminal might obey: what others sent is shown, not run."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def warn_of_unknown_settings() -> None:
    """Say which variables look like settings and are none; a daemon logs the same."""
    from workers.setting_checks import find_unknown_names  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    for warning in find_unknown_names(os.environ, Settings.variables()):
        errors.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)


def size(count: float) -> str:
    """Bytes as people read them: `4.2 MB`."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:  # noqa: PLR2004 - SI
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def score(value: float | None) -> str | None:
    """A score with three decimals."""
    return None if value is None else f"{value:.3f}"
