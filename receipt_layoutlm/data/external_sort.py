"""Sorts lines by key in bounded memory, through compressed files on disk."""

from __future__ import annotations

import gzip
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

_PREFIX_CHARACTERS = 2
"""Characters of a UUID that choose the pile: two hexadecimal ones make 256 piles."""
_TAB = b"\t"
_LEVEL = 1
"""Fast; the lines repeat their attributes' names, so they shrink to a tenth all the same."""


class ExternalSort:
    """Sorts lines by key: piles by the first characters of the key, in the order of the keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, gzip.GzipFile] = {}
        self._files = ExitStack()
        self._adding = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def put(self, key: str, line: bytes) -> None:
        """Add a line, with its end, from any thread; the key has no tab."""
        prefix = key[:_PREFIX_CHARACTERS]
        with self._adding:
            if prefix not in self._open:
                pile = gzip.open(self._path(prefix), "wb", compresslevel=_LEVEL)  # noqa: SIM115 - the stack closes it
                self._open[prefix] = self._files.enter_context(pile)
            self._open[prefix].write(key.encode() + _TAB + line)

    def take_down(self) -> Iterator[tuple[str, list[bytes]]]:
        """Each key in order with its lines; nothing can be added any more, and one pile is in memory."""
        self._files.close()
        for prefix in sorted(self._open):
            by_key: defaultdict[bytes, list[bytes]] = defaultdict(list)
            with gzip.open(self._path(prefix), "rb") as pile:
                for entry in pile:
                    key, _, line = entry.partition(_TAB)
                    by_key[key].append(line)
            self._path(prefix).unlink()
            for key in sorted(by_key):
                yield key.decode(), by_key.pop(key)

    def _path(self, prefix: str) -> Path:
        # By its bytes: a key from a file says nothing about where on this disk something is written.
        return self._folder / f"pile-{prefix.encode().hex()}"
