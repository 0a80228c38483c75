"""A container whose PID 1 is systemd, on a copy of a tree; it dies with whoever booted it.

It has the host's network, so that what listens on 127.0.0.1 out here is there for it, too. Mounts belong to a
mount namespace that ends with it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

BOOT_SECONDS = 60
SHUTDOWN_SECONDS = 240
LOOK_SECONDS = 0.2
_WANTS_TO_BOOT_AGAIN = 133
"""Exit code of `systemd-nspawn --keep-unit` when the container has asked for a reboot."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# We may be killed: then this is, its namespace of processes with it, and the mounts with the last of these.
_TIED_TO_US = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
]
_LAUNCH = """
for group in $GROUPS_OF_ITS_OWN; do echo $$ > "$group/cgroup.procs" || exit; done
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root" || exit
mount -t tmpfs tmpfs /run || exit # systemd-nspawn keeps notes there
shift 2
exec systemd-nspawn "$@"
"""
# Control groups of the older kind are read-only in a container. Without them no unit has limits.
_INIT = """
for group in /sys/fs/cgroup/*; do mountpoint -q "$group" && mount -o remount,bind,rw "$group"; done
exec /lib/systemd/systemd
"""


class Machine:
    """One boot; a context manager.

    Args:
        tree: the Debian; stays as it is.
        folder: for what the machine writes.
        bound: folders of the host that it sees read-only, by the path that they have there.

    Attributes:
        groups: its control groups out here.
    """

    def __init__(self, tree: Path, folder: Path, bound: dict[str, Path]) -> None:
        self._tree, self._folder, self._bound = tree, folder, bound
        self.groups = [Path(place) / f"layoutlm-boot-{os.getpid()}" for place in _hierarchies()]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for name in ("upper", "work", "root"):
            (self._folder / name).mkdir()
        # A tree has the name of the host that built it.
        (self._folder / "upper" / "etc").mkdir()
        (self._folder / "upper" / "etc" / "hostname").write_text("layoutlm-boot\n")
        try:
            for group in self.groups:
                group.mkdir()
            self.boot()
        except BaseException:
            self._tear_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tear_down()

    def _launch(self) -> None:
        options = [
            f"--directory={self._folder}/root",
            f"--machine=layoutlm-boot-{os.getpid()}",
            "--register=no",  # there is no systemd out here to register with
            "--keep-unit",
            "--settings=no",
            "--console=pipe",
            "--system-call-filter=@keyring",  # what KeyringMode= asks for
            *(f"--bind-ro={source}:{target}" for target, source in self._bound.items()),
        ]
        launch = ["sh", "-c", _LAUNCH, "launch", str(self._tree), str(self._folder), *options]
        with (self._folder / "console").open("wb") as console:
            self._process = subprocess.Popen(
                [*_TIED_TO_US, *launch, "sh", "-c", _INIT],
                env={"PATH": _PATH, "GROUPS_OF_ITS_OWN": " ".join(map(str, self.groups))},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )

    @property
    def leader(self) -> int:
        """The process here that is PID 1 there; another one after each boot.

        Raises:
            AssertionError: there is none at the moment.
        """
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "console").read_text()[-2000:]
        with suppress(psutil.NoSuchProcess):
            # unshare, systemd-nspawn, systemd
            for nspawn in psutil.Process(self._process.pid).children():
                for child in nspawn.children():
                    if child.name() == "systemd":
                        return child.pid
        raise AssertionError("systemd does not run in the container")

    def shut_down_to_reboot(self) -> None:
        """Let systemd end everything, as before a boot."""
        self.run("systemctl reboot", check=False)
        assert self._process is not None
        assert self._process.wait(SHUTDOWN_SECONDS) == _WANTS_TO_BOOT_AGAIN

    def boot(self) -> None:
        """Start systemd on the machine's files, and wait until it has started everything."""
        self._launch()
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Wait until systemd has started everything."""
        deadline = time.monotonic() + BOOT_SECONDS
        state = "not there yet"
        while time.monotonic() < deadline:
            with suppress(AssertionError):
                state = self.run("systemctl is-system-running", check=False).strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(LOOK_SECONDS)
        console = (self._folder / "console").read_text()
        raise AssertionError(f"after {BOOT_SECONDS} s systemd is: {state}\n{console[-2000:]}")

    def run(self, command: str, *, check: bool = True, timeout: float = 60, code: int = 0) -> str:
        """Run a shell's command inside, as root; returns all that it says.

        Args:
            command: what to run.
            check: whether another exit code than `code` is a failure.
            timeout: in seconds.
            code: the exit code that is right.
        """
        done = subprocess.run(
            ["nsenter", "--target", str(self.leader), "--all", "--", "sh", "-c", command],
            env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert not check or done.returncode == code, f"{command}: {done.returncode}\n{done.stdout[-3000:]}"
        return done.stdout

    def path(self, inside: str) -> Path:
        """A file of the machine, as it is seen from here."""
        return Path(f"/proc/{self.leader}/root") / inside.lstrip("/")

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """What systemd says of a unit."""
        wanted = shlex.quote(",".join(properties))
        lines = self.run(f"systemctl show {unit} --property={wanted}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _tear_down(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for group in self.groups:
            remove_group(group)


def _hierarchies() -> list[str]:
    """Where control groups are made: one place where they are unified, one for each controller elsewhere."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    # A group of cpuset takes no process before it has processors, and no unit of ours asks for any.
    return [
        place
        for _, place, kind, options, *_ in mounts
        if kind in ("cgroup", "cgroup2") and "cpuset" not in options.split(",")
    ]


def remove_group(group: Path) -> None:
    """Remove a control group with all below it, once its last process is gone."""
    deadline = time.monotonic() + 10
    while group.exists():
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        try:
            group.rmdir()
        except OSError:  # the last process is on its way
            assert time.monotonic() < deadline, f"{group} is not empty"
            time.sleep(LOOK_SECONDS)
