"""Serves and reads a worker's status over a Unix socket."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from workers.errors import SettingsError
from workers.health import Health, HealthReport
from workers.user_folders import make_own_folder

ANSWER_SECONDS = 2.0
"""Seconds that a reader waits for an answer; a loop that takes longer is not healthy anyway."""
_SOCKET_NAME = re.compile(r".*-[1-9][0-9]{0,8}\.sock", re.DOTALL)
"""With a process id that the kernel can have given; other programs' files are left alone."""
MAX_PATH_BYTES = 100
"""The name of a socket has room for 108 bytes on Linux and 104 on macOS."""
LOOK_SECONDS = 10.0
"""Seconds between checks that the socket still exists: temporary folders are cleared by age."""
_VARIABLE = "LAYOUTLM_RUN_DIR"

log = structlog.get_logger(__name__)


class WorkerStatus(BaseModel):
    """The status of one worker on this host, also of one that does not answer.

    Attributes:
        kind: train or export.
        pid: its process.
        fresh: whether all is well.
        reasons: why not.
        report: its own words; None when it did not answer.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    kind: str
    pid: int
    fresh: bool
    reasons: tuple[str, ...]
    report: HealthReport | None


class StatusSocket:
    """The socket on which a worker answers each connection with its report, as one JSON line."""

    def __init__(self, health: Health, kind: str, folder: Path) -> None:
        self.path = folder / f"{kind}-{os.getpid()}.sock"
        self._health = health
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Make the socket.

        Raises:
            SettingsError: the folder cannot hold a socket of ours.
        """
        self._server = await asyncio.start_unix_server(self._answer, sock=_bind(self.path))

    def close(self) -> None:
        """Remove the socket."""
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)

    async def keep(self) -> None:
        """Make the socket again whenever something has removed it, for as long as the daemon runs."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self.path.is_socket():
                log.warning("status socket was removed; it is made again", path=str(self.path))
                self.close()
                await self.open()

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The line fits into the socket's own buffer, so the loop never waits for a slow reader.
        writer.write(self._health.report().model_dump_json().encode() + b"\n")
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def status_served(health: Health, kind: str, folder: Path) -> AsyncIterator[StatusSocket]:
    """Answer status requests while the block runs.

    Raises:
        SettingsError: the folder cannot hold a socket of ours.
    """
    served = StatusSocket(health, kind, folder)
    await served.open()
    try:
        yield served
    finally:
        served.close()


def _bind(path: Path) -> socket.socket:
    """Bind a socket that only we may connect to, in a folder cleared of those whose daemons were killed."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise SettingsError(
            f"{path} is longer than a socket's name may be. Set {_VARIABLE} to a shorter path."
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        make_own_folder(path.parent, _VARIABLE)
        _clear(path)
        with _private_files():
            listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{path.parent} cannot be used: {error}. Set {_VARIABLE} to a folder of this user's own."
        ) from error
    except SettingsError:
        listener.close()
        raise
    return listener


@contextmanager
def _private_files() -> Iterator[None]:
    """Create files that only this user can access, from their first moment on."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def _clear(path: Path) -> None:
    """Remove sockets without a listener from the folder."""
    for left in list(_sockets(path.parent)):
        if left == path or not _is_running(_pid_of(left)):
            left.unlink(missing_ok=True)


def read_statuses(*folders: Path) -> list[WorkerStatus]:
    """Ask every worker whose socket is in one of the folders.

    Raises:
        SettingsError: a folder belongs to another user.
    """
    found = [_ask(path) for folder in folders for path in _sockets_to_read(folder)]
    return [status for status in found if status is not None]


def _sockets_to_read(folder: Path) -> list[Path]:
    """The sockets in a folder of this user; root reads the one of any."""
    unreadable = f"{folder} belongs to another user. Run this as the user of the workers, or as root."
    try:
        if not folder.is_dir():
            return []
        found, owner = list(_sockets(folder)), folder.stat().st_uid
    except PermissionError as error:
        raise SettingsError(unreadable) from error
    if os.geteuid() not in {0, owner}:
        raise SettingsError(unreadable)
    return found


def _ask(path: Path) -> WorkerStatus | None:
    """One worker's answer; None when its socket has no listener any more."""
    kind, pid = path.stem.rpartition("-")[0], _pid_of(path)

    def at_fault(reason: str) -> WorkerStatus:
        return WorkerStatus(kind=kind, pid=pid, fresh=False, reasons=(reason,), report=None)

    try:
        answer = _read(path)
        report = HealthReport.model_validate_json(answer)
    except (FileNotFoundError, ConnectionError):
        return None
    except (TimeoutError, BlockingIOError):
        return at_fault(f"it did not answer within {ANSWER_SECONDS:.0f} s")
    except ValidationError:
        # Nothing at all: it ended while we asked.
        return at_fault("it answered in a form that this version does not know") if answer else None
    return WorkerStatus(kind=kind, pid=pid, fresh=report.fresh, reasons=report.reasons, report=report)


def _read(path: Path) -> bytes:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as reader:
        reader.settimeout(ANSWER_SECONDS)
        reader.connect(str(path))
        parts = []
        while part := reader.recv(65536):
            parts.append(part)
    return b"".join(parts)


def _sockets(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if _SOCKET_NAME.fullmatch(path.name):
            yield path


def _pid_of(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # else it runs, as another user
    return True
