"""Private folders of this user: the defaults of work and run folder, and the check before their use.

In a folder that another user made, or may write to, that user can exchange a job file or answer for a worker.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from workers.errors import SettingsError

_NAME = "receipt-layoutlm"
UNITS_RUN_FOLDER = Path("/run") / _NAME
"""The run folder of the systemd units; their user and root may read it."""


def cache_folder() -> Path:
    """The default work folder: in XDG_CACHE_HOME, ~/Library/Caches on a Mac, ~/.cache elsewhere."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():  # the specification has others ignored
        return named / _NAME
    with suppress(RuntimeError):
        return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / _NAME
    # A user id without an account, as containers have it.
    return Path(tempfile.gettempdir()) / f"{_NAME}-{os.geteuid()}"


def run_folders() -> tuple[Path, ...]:
    """Default run folders of this user; a new worker takes the first.

    A login session has a runtime folder, cron and `sudo -u` have none: who looks for workers looks in all.
    """
    of_units = [UNITS_RUN_FOLDER] if _may_read(UNITS_RUN_FOLDER) else []
    return tuple(dict.fromkeys([*_runtime_folders(), cache_folder() / "run", *of_units]))


def _may_read(folder: Path) -> bool:
    return folder.is_dir() and os.geteuid() in {0, folder.stat().st_uid}


def _runtime_folders() -> Iterator[Path]:
    for folder in (Path(os.environ.get("XDG_RUNTIME_DIR", "")), Path(f"/run/user/{os.geteuid()}")):
        # `sudo -E` and `su` bring the variable of another user along.
        if folder.is_absolute() and folder.is_dir() and folder.stat().st_uid == os.geteuid():
            yield folder / _NAME


def make_own_folder(folder: Path, variable: str) -> None:
    """Make the folder, for this user alone, or make sure that it is one.

    Args:
        folder: the folder.
        variable: the setting that names it, for the error.

    Raises:
        SettingsError: another user can change what lies in it.
        OSError: it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fault = _fault_of(folder)
    if fault is not None:
        raise SettingsError(f"{folder} {fault}. Set {variable} to a folder of this user's own.")


def _fault_of(folder: Path) -> str | None:
    """The way in which another user can change the content; None when only this user and root can."""
    found, parent = folder.lstat(), folder.absolute().parent
    around = parent.stat()
    if stat.S_ISLNK(found.st_mode):
        return "is a symbolic link"
    if found.st_uid != os.geteuid():
        return f"belongs to {_user(found.st_uid)}, and this process runs as {_user(os.geteuid())}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written by other users (`chmod 700 {folder}` ends that)"
    if around.st_uid not in {0, os.geteuid()}:
        return f"can be exchanged by {_user(around.st_uid)}, to whom {parent} belongs"
    if around.st_mode & stat.S_IWOTH and not around.st_mode & stat.S_ISVTX:
        return f"can be exchanged by every user, since all may write to {parent}"
    return None


def _user(number: int) -> str:
    with suppress(KeyError):
        return f"user {pwd.getpwuid(number).pw_name}"
    return f"user {number}"
