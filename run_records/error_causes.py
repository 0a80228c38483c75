"""Finds the causes of an error: its chain of exceptions, and a full disk among them, however it is worded."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space left, quota exceeded, file too large (`ulimit -f`): later, or on another host, it may fit."""

# Libraries in C++ and Rust raise errors of their own, in which only the text names the system's error.
_DISK_FULL_TEXTS = (
    *(f"os error {number})" for number in sorted(_DISK_FULL)),
    *(os.strerror(number).lower() for number in sorted(_DISK_FULL)),
    "no space left",
    # torch.save: its archive's writer compares positions in the file instead of reading errno.
    "pytorchstreamwriter failed",
    "unexpected pos ",
    "basic_ios::clear: iostream error",
    "[mil filewriter]",  # coremltools, which drops the error's number
)
_WORDED = {"Exception", "SafetensorError"}
"""Types, beside OSError and RuntimeError, that tokenizers and safetensors raise for the system's errors."""


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from or while, and so on; each once."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def find_full_disk(error: BaseException) -> BaseException | None:
    """The first of the causes that says that a disk, a quota or a file's limit is full."""
    return next((one for one in causes_of(error) if _says_disk_full(one)), None)


def _says_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _DISK_FULL
    if not isinstance(error, OSError | RuntimeError) and type(error).__name__ not in _WORDED:
        return False  # a sentence of this project's, for one, may quote such words: its cause decides
    text = str(error).lower()
    return any(sign in text for sign in _DISK_FULL_TEXTS)
