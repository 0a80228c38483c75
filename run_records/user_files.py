"""Text files that a person names: read as UTF-8, or refused by path and line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from run_records.errors import DataError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, *, at_most: int | None = None) -> str:
    """Read a file whole; a byte-order mark before its text is left out.

    Args:
        path: the file.
        at_most: bytes that it may have; None has no limit.

    Raises:
        DataError: it cannot be read, is empty, too large or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            body = stream.read() if at_most is None else stream.read(at_most + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if at_most is not None and len(body) > at_most:
        raise DataError(f"{path} is larger than {at_most:,} bytes. Pass a smaller file.")
    text = _decode(path, body)
    if not text.strip():
        raise _empty(path)
    return text


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read a file line by line; yield each line that is not blank, with its number.

    Raises:
        DataError: it cannot be read, has no lines, or one of them is not UTF-8.
    """
    some = False
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                text = _decode(path, line, number)
                if text.strip():
                    some = True
                    yield number, text
    except OSError as error:
        raise _unreadable(path, error) from error
    if not some:
        raise _empty(path)


def _decode(path: Path, body: bytes, first_line: int = 1) -> str:
    if first_line == 1:
        if body.startswith(_UTF16):
            raise DataError(f"{path} is text in UTF-16. Save it as UTF-8.")
        body = body.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        line = first_line + body.count(b"\n", 0, error.start)
        raise DataError(
            f"{path}, line {line}: byte 0x{body[error.start]:02x} is not UTF-8; the file may be in "
            "Windows-1252 or Latin-1. Save it as UTF-8."
        ) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read ({error.strerror}). Pass a text file that exists and is yours.")


def _empty(path: Path) -> DataError:
    return DataError(f"{path} is empty. Pass a file with something in it.")
