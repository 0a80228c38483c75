"""The bundle as the one zip that clients in the field download, the same bytes for the same files."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that the format can name
_UNIX = 3
_MODE = 0o100644


def zip_bundle(folder: Path, path: Path) -> Path:
    """Write a bundle's files to a zip, at its root; returns the zip's path."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            _add(archive, name, files[name])
    return path


def _add(archive: zipfile.ZipFile, name: str, file: Path) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    # Weights hardly shrink, and what a compressor writes differs from one zlib to the next.
    entry.compress_type = zipfile.ZIP_STORED
    entry.create_system = _UNIX
    entry.external_attr = _MODE << 16
    entry.file_size = file.stat().st_size  # lets a file above 4 GiB get the header it needs
    with file.open("rb") as source, archive.open(entry, "w") as target:
        shutil.copyfileobj(source, target, 2**20)
