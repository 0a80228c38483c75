"""Values that a command takes as an argument or as an option, as people are used to type them."""

from __future__ import annotations

from typing import TypeVar

import typer

T = TypeVar("T")


def one_of(argument: T | None, option: T | None, what: str, name: str) -> T:
    """The one that is given.

    Raises:
        typer.BadParameter: neither is, or both are and differ.
    """
    given = [value for value in (argument, option) if value is not None]
    if not given:
        raise typer.BadParameter(f"name {what}: as an argument or by {name}")
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter(f"{what} is given twice, {argument} and {option}: give one")
    return given[0]
