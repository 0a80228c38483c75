"""Opens a bundle from a folder, a zip or S3."""

from __future__ import annotations

import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from receipt_layoutlm.coreml.bundle import BUNDLE_NAMES, FORBIDDEN_NAME
from receipt_layoutlm.errors import BundleError
from run_records.error_causes import find_full_disk
from run_records.errors import ConfigurationError, DiskError
from run_records.s3_store import S3Store

MAX_BYTES = 8 * 2**30
MAX_FILES = 1000
_S3 = "s3://"
_ZIP = ".zip"
_ENCRYPTED = 0x1
_DAMAGED = (
    *(zipfile.BadZipFile, NotImplementedError, zlib.error, lzma.LZMAError),
    *(EOFError, ValueError, struct.error),
)
"""Errors that zipfile raises for damaged archives."""


@contextmanager
def open_bundle(where: str, storage: S3Store) -> Iterator[Path]:
    """Give a bundle's folder on this disk; what had to be downloaded or unpacked is gone afterwards.

    Args:
        where: a path or an `s3://` URI; what ends in .zip is unpacked.
        storage: allows the buckets.

    Raises:
        ConfigurationError: there is nothing of the kind.
        BundleError: it is no bundle that can be unpacked.
    """
    with tempfile.TemporaryDirectory(prefix="bundle-") as name:
        work = Path(name)
        yield _fetch(where, storage, work) if where.startswith(_S3) else _find(Path(where), work)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a bundle's zip; what it holds is bounded, and none of it gets out of the folder.

    Raises:
        BundleError: it is no zip, damaged, too large, or names a path outside.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            _check_sizes(str(archive), [entry.file_size for entry in entries])
            _check_entries(archive.name, entries)
            opened.extractall(folder)
    except _DAMAGED as error:
        raise BundleError(
            f"{archive.name} is no zip that can be read: {error}. Download it again."
        ) from error
    except OSError as error:
        if find_full_disk(error):
            raise DiskError(f"{archive.name} cannot be unpacked: {error.strerror}. Free space.") from error
        raise BundleError(f"{archive.name} cannot be unpacked: {error}. Pack the bundle again.") from error
    return folder


def _find(path: Path, work: Path) -> Path:
    if path.is_dir():
        return path
    if path.is_file() and path.suffix == _ZIP:
        return unpack(path, work)
    raise ConfigurationError(
        f"There is no bundle {path}; pass its folder, its .zip, or an s3:// URI of either."
    )


def _fetch(uri: str, storage: S3Store, work: Path) -> Path:
    if uri.endswith(_ZIP):
        stored = storage.head(uri)
        if stored is None:
            raise ConfigurationError(f"There is no bundle {uri}. Check the key.")
        _check_sizes(uri, [stored.size])
        prefix, _, name = uri.rpartition("/")
        storage.download_folder(f"{prefix}/", work, [name])
        return unpack(work / name, work / "unpacked")
    prefix = uri if uri.endswith("/") else f"{uri}/"
    # Bundles of other shapes, in folders of their own below, are no part of this one.
    found = {
        name: size
        for name, size in storage.list_keys(prefix).items()
        if name.split("/")[0] in BUNDLE_NAMES | {FORBIDDEN_NAME}
    }
    if not found:
        raise ConfigurationError(f"There is no bundle under {prefix}. Check the prefix.")
    _check_sizes(prefix, list(found.values()))
    storage.download_folder(prefix, work, found)
    return work


def _check_entries(name: str, entries: list[zipfile.ZipInfo]) -> None:
    outside = [entry.filename for entry in entries if not _stays_inside(entry.filename)]
    if outside:
        raise BundleError(f"{name} names {outside[0]!r}, outside of itself; it is not unpacked.")
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        raise BundleError(f"{name} is encrypted. Pack the bundle without a password.")
    files = {entry.filename for entry in entries if not entry.is_dir()}
    below = [one for one in files if any(str(parent) in files for parent in PurePosixPath(one).parents)]
    if below:
        raise BundleError(f"{name} names {below[0]!r} below a file. Pack the bundle again.")


def _check_sizes(where: str, sizes: list[int]) -> None:
    if len(sizes) > MAX_FILES or sum(sizes) > MAX_BYTES:
        raise BundleError(
            f"{where} has {len(sizes):,} files of {sum(sizes):,} bytes, more than a bundle; it is not opened."
        )


def _stays_inside(name: str) -> bool:
    parts = name.split("/")
    return not name.startswith("/") and "\\" not in name and ".." not in parts
