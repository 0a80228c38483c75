"""Writes output files at paths given by a person: atomically, or with an error of one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workers.errors import SettingsError


@contextmanager
def writing_explained(path: Path) -> Iterator[None]:
    """Say that a path cannot be written.

    Raises:
        SettingsError: the block met an error of the file system.
    """
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror or error}. Name a path in a folder that exists "
            "and is yours."
        ) from error


def refuse_unwritable(path: Path) -> None:
    """Refuse a path for a file before minutes of work whose result would have no place.

    Raises:
        SettingsError: its folder is not there or not ours, or it is a folder itself.
    """
    with writing_explained(path):
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if not path.parent.is_dir():
            raise FileNotFoundError(0, "its folder is not there")
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(0, "its folder is not ours")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever reads half of it.

    Raises:
        SettingsError: it cannot be written there.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with writing_explained(path):
        try:
            partial.write_text(text, encoding="utf-8", newline="\n")
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            raise
