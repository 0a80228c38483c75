"""The virtual machine of a boot test ends with its test, even when that is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.boot.machine import remove_group
from tests.boot.timeline import wait_for

pytestmark = pytest.mark.boot

_BOOTS_AND_IS_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.boot.machine import Machine
with Machine(Path(sys.argv[1]), Path(sys.argv[2]), {}) as machine:
    print(machine.leader, *machine.groups, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_machine_dies_with_a_test_that_is_killed(tree: Path, tmp_path: Path) -> None:
    script = [sys.executable, "-c", _BOOTS_AND_IS_KILLED, str(tree), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)
    leader, *groups = done.stdout.split()
    wait_for("the end of the container", lambda: not psutil.pid_exists(int(leader)), within=20)
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    for group in map(Path, groups):
        remove_group(group)
