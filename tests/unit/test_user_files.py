"""Text files that people name: what is harmless is read, everything else is named by path and line."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from run_records.errors import DataError
from run_records.user_files import read_lines, read_text

READERS: list[Callable[[Path], object]] = [read_text, lambda path: list(read_lines(path))]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b" \r\n\t\n", "is empty"),
        ("één\nTäg".encode("cp1252"), "line 1: byte 0xe9 is not UTF-8"),
        (b"one\ntwo\ncaf\xe9\n", "line 3: byte 0xe9 is not UTF-8"),
        ("text".encode("utf-16"), "text in UTF-16. Save it as UTF-8"),
        (b"\xfe\xff\x00t", "text in UTF-16"),
        (b"\x89PNG\r\n\x1a\n", "line 1: byte 0x89"),
    ],
)
def test_what_is_no_text_is_named(
    tmp_path: Path, read: Callable[[Path], object], body: bytes, said: str
) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(body)
    with pytest.raises(DataError, match=said) as refused:
        read(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("read", READERS)
def test_what_cannot_be_opened_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        for path in (
            tmp_path,
            tmp_path / "missing",
            tmp_path / "s",
            tmp_path / "s" / "below",
            Path("x" * 300),
        ):
            with pytest.raises(DataError, match=r"cannot be read \(.+\)\. Pass a text file"):
                read(path)


def test_a_byte_order_mark_is_left_out_of_the_first_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"\xef\xbb\xbfa\n\n\xef\xbb\xbfb")
    assert read_text(path) == "a\n\n\ufeffb"
    assert list(read_lines(path)) == [(1, "a\n"), (3, "\ufeffb")]


def test_a_file_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"12345")
    assert read_text(path, at_most=5) == "12345"
    with pytest.raises(DataError, match="larger than 4 bytes"):
        read_text(path, at_most=4)
