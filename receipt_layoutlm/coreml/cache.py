"""Caches checkpoints on this host for the next export, and resumes interrupted downloads.

An entry belongs to a URI and the manifest found there: a checkpoint that replaces another gets a new entry.
Its files are checked against the manifest before each use, so damage by a crash or a full disk is repaired.
Several processes may share the folder. No process waits for a locked entry; it works without the cache
instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from receipt_layoutlm.checkpoint import Manifest, ManifestFile
from run_records.errors import CheckpointError
from run_records.s3_store import S3Store, hash_file
from run_records.s3_transfers import resume_download

log = logging.getLogger(__name__)

_PARTIAL = ".partial"
_KEY_DIGITS = 32


@dataclass(frozen=True, slots=True)
class CheckpointCache:
    """A folder of entries with at most `limit_bytes` in them, but for the entry in use."""

    folder: Path
    limit_bytes: int

    def provide(
        self, storage: S3Store, uri: str, manifest: Manifest, names: tuple[str, ...], to: Path
    ) -> bool:
        """Put files of a checkpoint into a folder, by way of the cache.

        Args:
            storage: where they come from.
            uri: the checkpoint's prefix.
            manifest: what the files have to be.
            names: those that are wanted; each is in the manifest.
            to: where they go. They stay whole there whatever becomes of the cache.

        Returns:
            False when the cache is of no use now: too small for them, or taken by another process.

        Raises:
            CheckpointError: what lies in S3 is not what the manifest says.
        """
        files = [file for file in manifest.files if file.name in names]
        wanted = sum(file.size for file in files)
        entry = self.folder / _key(uri, manifest)
        # Before anything is fetched: exports that are killed one after the other would each leave a part.
        if not files or wanted > self.limit_bytes:
            self._make_room()
            return False
        self._make_room(entry, wanted)
        entry.mkdir(parents=True, exist_ok=True)
        with _taken(entry) as ours:
            if not ours:
                log.info("another process is at the cached %s", uri)
                return False
            for file in files:
                _fetch(storage, uri, file, entry)
                _place(entry / file.name, to / file.name)
            os.utime(entry)
        return True

    def _make_room(self, used: Path | None = None, wanted: int = 0) -> None:
        """Remove the least recently used entries until the limit holds, with the one that is to be used."""
        if not self.folder.is_dir():
            return
        others = [entry for entry in self.folder.iterdir() if entry.is_dir() and entry != used]
        entries = [(*_age_and_size(entry), entry) for entry in others]
        total = wanted + sum(size for _, size, _ in entries)
        for _, size, entry in sorted(entries):
            if total <= self.limit_bytes:
                return
            if _remove(entry):
                total -= size
                log.info("removed %s from the cache, %d bytes", entry.name, size)


def _fetch(storage: S3Store, uri: str, file: ManifestFile, entry: Path) -> None:
    """Ensure that an entry holds a whole file; the part that is already there is not downloaded again."""
    whole, partial = entry / file.name, entry / f"{file.name}{_PARTIAL}"
    if whole.is_file():
        if _is(whole, file):
            return
        whole.unlink()
    resumed = partial.is_file() and partial.stat().st_size > 0
    resume_download(storage, uri + file.name, partial, file.size)
    if not _is(partial, file) and resumed:
        # What was left may be of another object, or half written when the power went.
        partial.unlink()
        resume_download(storage, uri + file.name, partial, file.size)
    if not _is(partial, file):
        partial.unlink()
        raise CheckpointError(
            f"{uri}{file.name} is not what its manifest describes (another size or SHA-256); the checkpoint "
            "is damaged or half replaced. Export another one."
        )
    partial.rename(whole)


def _place(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _is(path: Path, file: ManifestFile) -> bool:
    return path.stat().st_size == file.size and hash_file(path) == file.sha256


def _key(uri: str, manifest: Manifest) -> str:
    text = f"{uri}\n{manifest.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


@contextmanager
def _taken(entry: Path) -> Iterator[bool]:
    """Lock an entry if no other process has; the lock is on the folder itself and ends with the process."""
    try:
        descriptor = os.open(entry, os.O_RDONLY)
    except FileNotFoundError:  # removed since we looked
        yield False
        return
    try:
        yield _lock(descriptor) and _is_still(entry, descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(entry: Path, descriptor: int) -> bool:
    """Whether the folder that was locked is the one of that name: another may have been removed and made."""
    with suppress(FileNotFoundError):
        return os.path.samestat(entry.stat(), os.fstat(descriptor))
    return False


def _remove(entry: Path) -> bool:
    with _taken(entry) as ours:
        if ours:
            shutil.rmtree(entry, ignore_errors=True)
        return ours


def _age_and_size(entry: Path) -> tuple[float, int]:
    with suppress(FileNotFoundError):
        sizes = sum(path.stat().st_size for path in entry.iterdir())
        return entry.stat().st_mtime, sizes
    return 0.0, 0
