"""Tries what a unit forbids, and what it has to leave open; run inside the machine by its own Python.

It prints one JSON object: the name of each act, and "allowed" or the error that refused it. It knows nothing
of what is expected. Without the unit each act succeeds for any user, those that begin with "root:" for root.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER = 0x10000000
_PTRACE = 101
_PTRACE_TRACEME = 0
_ADDR_NO_RANDOMIZE = 0x0040000
_STRANGER = 4242


def _call(function: str, *arguments: object) -> None:
    """Call the C library; raises what it answers."""
    if getattr(_LIBC, function)(*arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _in_a_child(act: Callable[[], object]) -> None:
    """Do in a child what the rest of this script should not be left with; raises what it met there."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            act()
        except OSError as error:
            code = error.errno or errno.EINVAL
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))


def _write(folder: str) -> None:
    path = Path(folder, "written")
    path.write_text("x")
    path.unlink()


def _become_root() -> None:
    said = subprocess.run(["/srv/id-of-root", "-u"], capture_output=True, text=True, check=True)
    if said.stdout.strip() != "0":
        raise OSError(errno.EPERM, "it runs as who started it")


def _see_a_strangers_name() -> None:
    if Path("/srv/strange").stat().st_uid != _STRANGER:
        raise OSError(errno.EPERM, "it is nobody's")


def _make_setuid() -> None:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(stat.S_ISUID | 0o755)


def _let_others_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.touch()
        if not path.stat().st_mode & 0o044:
            raise OSError(errno.EPERM, "only its owner may")


def _dump_core() -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        raise OSError(errno.EPERM, "no file may be that long")


def _make_code_and_run_it() -> None:
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC):
        pass


def _listen_and_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 5).close()


def _make_group() -> None:
    folder = Path(
        "/sys/fs/cgroup/systemd" if Path("/sys/fs/cgroup/systemd").exists() else "/sys/fs/cgroup", "probe"
    )
    folder.mkdir()
    folder.rmdir()


def _change_owner() -> None:
    os.chown("/srv/strange", _STRANGER, _STRANGER)


ACTS: dict[str, Callable[[], object]] = {
    "write below /usr": lambda: _write("/usr/open"),
    "write below /etc": lambda: _write("/etc/open"),
    "write below /opt": lambda: _write("/opt/open"),
    "write below /srv": lambda: _write("/srv/open"),
    "write below /var": lambda: _write("/var/lib/open"),
    "read a home": lambda: Path("/home/somebody/secret").read_text(),
    "read root's home": lambda: Path("/root/secret").read_text(),
    "see the host's /tmp": lambda: Path("/tmp/of-the-host").read_text(),
    "see the host's /var/tmp": lambda: Path("/var/tmp/of-the-host").read_text(),
    "see whose a stranger's file is": _see_a_strangers_name,
    "see other processes": lambda: Path("/proc/1/status").read_text(),
    "open a device": lambda: os.close(os.open("/dev/probe", os.O_RDWR)),
    "run a setuid program as root": _become_root,
    "make a file setuid": _make_setuid,
    "make a file that others read": _let_others_read,
    "make a user namespace": lambda: _in_a_child(lambda: _call("unshare", _CLONE_NEWUSER)),
    "change the personality": lambda: _in_a_child(lambda: _call("personality", _ADDR_NO_RANDOMIZE)),
    "open a socket of another family": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close(),
    "trace a process": lambda: _in_a_child(lambda: _call("ptrace", _PTRACE_TRACEME, 0, 0, 0)),
    "dump core": _dump_core,
    "root: change an owner": _change_owner,
    "root: make a control group": _make_group,
    "root: set the host's name": lambda: socket.sethostname(socket.gethostname()),
    "needed: write to the cache folder": lambda: _write(
        os.environ.get("CACHE_DIRECTORY", tempfile.gettempdir())
    ),
    "needed: write to the run folder": lambda: _write(
        os.environ.get("RUNTIME_DIRECTORY", tempfile.gettempdir())
    ),
    "needed: write to /tmp": lambda: _write("/tmp"),
    "needed: read random bytes": lambda: Path("/dev/urandom").open("rb").close(),
    "needed: write machine code and run it": _make_code_and_run_it,
    "needed: speak TCP": _listen_and_connect,
    "needed: open a UNIX socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "needed: ask netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "needed: read /proc/meminfo": lambda: Path("/proc/meminfo").read_text(),
    "needed: bind to a processor": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
}


def _try(act: Callable[[], object]) -> str:
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "allowed"


if __name__ == "__main__":
    json.dump({name: _try(act) for name, act in ACTS.items()}, sys.stdout)
