"""A Debian for a container: built once by debootstrap, kept below the user's cache, then only read."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = "bookworm"
PYTHON = (3, 11)
"""What that Debian has: the packages of another Python cannot be lent to it."""
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "python3-venv", "jq")
BUILD_SECONDS = 600
_TOOLS = ("systemd-nspawn", "debootstrap", "nsenter", "unshare", "setpriv")


def missing() -> str | None:
    """Why no container can be booted on this host; None where one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a container with systemd needs Linux and root"
    absent = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if absent:
        return f"{', '.join(absent)} not installed (apt-get install systemd-container debootstrap util-linux)"
    if sys.version_info[:2] != PYTHON:
        return f"Debian {SUITE} has Python {PYTHON[0]}.{PYTHON[1]}; run this with the same"
    return None


def kept_tree() -> Path:
    """Where the tree is or will be; another list of packages is another tree."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:8]
    return cache / "receipt-layoutlm-boot" / f"{SUITE}-{digest}"


def build_tree(tree: Path) -> str | None:
    """Build it, whole or not at all; returns the last word of a debootstrap that failed."""
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix="building-") as name:
        building = Path(name) / "tree"
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(building)],
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
        if done.returncode != 0:
            return (done.stdout + done.stderr).strip().rpartition("\n")[2]
        building.rename(tree)
    return None
