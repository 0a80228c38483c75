"""One folder per attempt, locked while a process of this host uses it; folders without a lock are removed.

The lock is on the folder itself and belongs to every process that has inherited its descriptor: a daemon that
was killed has let go of it, its child holds it until it has ended, too.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from messages.child_protocol import ErrorClass
from messages.fields import Message
from workers.errors import SettingsError
from workers.runtime.outcome import Refused
from workers.user_folders import make_own_folder

VARIABLE = "LAYOUTLM_WORK_DIR"
_ATTEMPTS = "attempts"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """The folder of one attempt.

    Attributes:
        path: where it lies.
        lock: the descriptor that keeps it; a child has to inherit it.
    """

    path: Path
    lock: int


@asynccontextmanager
async def attempt_folder(work_dir: Path, name: str) -> AsyncIterator[AttemptFolder]:
    """A new folder for one child's files, removed at the block's end.

    Raises:
        Refused: the work folder cannot be used, or is not this user's own.
    """
    with _usable(work_dir):
        folder = _make_locked(_make_attempts(work_dir), name)
    try:
        yield folder
    finally:
        try:
            # Gigabytes of checkpoints take seconds to remove; meanwhile the heart has to go on beating.
            await asyncio.to_thread(_remove, folder.path)
        except OSError as error:  # how the attempt ended stands, whatever it leaves
            log.warning("not removed from the work folder", name=folder.path.name, error=str(error))
        finally:
            os.close(folder.lock)


def write_job_file(folder: AttemptFolder, task: Message) -> Path:
    """Write what the child shall do into its folder; returns the file.

    Raises:
        Refused: it cannot be written.
    """
    job_file = folder.path / "job.json"
    with _usable(folder.path):
        job_file.write_text(task.model_dump_json(), encoding="utf-8")
    return job_file


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        raise Refused(ErrorClass.SETUP, str(error)) from error
    except OSError as error:
        raise Refused(
            ErrorClass.DISK,
            f"The work directory {folder} cannot be used: {error}. Free some space there, or set {VARIABLE} "
            "to a folder that can be written.",
        ) from error


class Orphans:
    """Folders of attempts in a work folder that no process of this host works on any more."""

    def __init__(self, work_dir: Path) -> None:
        self._work_dir = work_dir
        self._stuck: set[Path] = set()

    def remove(self) -> None:
        """Remove them; another worker that is at it leaves nothing to do.

        Raises:
            SettingsError: the work folder cannot be used, or is not this user's own.
        """
        try:
            attempts = _make_attempts(self._work_dir)
        except OSError as error:
            raise SettingsError(
                f"{self._work_dir} cannot be used: {error}. Set {VARIABLE} to a folder of this user's own."
            ) from error
        with _opened(attempts) as descriptor:
            if _try_lock(descriptor):
                for folder in attempts.iterdir():
                    self._remove_if_free(folder)

    def _remove_if_free(self, folder: Path) -> None:
        if folder in self._stuck:  # said once, and not at each look
            return
        try:
            with _opened(folder) as descriptor:
                if not _try_lock(descriptor):
                    return
                _remove(folder)
        except FileNotFoundError:  # by another worker
            return
        except OSError as error:  # such as a file or a symbolic link, which no attempt puts here
            self._stuck.add(folder)
            log.warning("not removed from the work folder", name=folder.name, error=str(error))
        else:
            log.info("folder of a killed attempt removed", name=folder.name)


def _make_attempts(work_dir: Path) -> Path:
    make_own_folder(work_dir, VARIABLE)
    attempts = work_dir / _ATTEMPTS
    make_own_folder(attempts, VARIABLE)
    return attempts


def _make_locked(attempts: Path, name: str) -> AttemptFolder:
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=attempts))
        try:
            descriptor = _open(path)
        except FileNotFoundError:  # removed as an orphan before it was locked
            continue
        if _try_lock(descriptor) and path.exists():
            return AttemptFolder(path, descriptor)
        os.close(descriptor)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = _open(folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise SettingsError(
            f"The file system of the work folder has no locks ({error}). Set {VARIABLE} to a folder on a "
            "disk of this host."
        ) from error
    return True


def _remove(folder: Path) -> None:
    """Remove a folder; symbolic links in it are not followed.

    Raises:
        OSError: something in it cannot be removed; all else is.
    """
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        folder.rmdir()  # says why not
