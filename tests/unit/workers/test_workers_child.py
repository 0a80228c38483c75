"""The end of a child's process group by force, and a child whose reports cannot be read any more."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from messages.child_protocol import Report
from workers.runtime.child import Child, ChildSpec, kill_group

LEADER_WITH_HELPER = """
import os, time
helper = os.fork()
if not helper:
    os.close(1)
    time.sleep(600)
os.write(1, b"%d\\n" % helper)
"""


@contextmanager
def group(then: str) -> Iterator[tuple[int, int]]:
    """The ids of a group's leader and of its helper; the leader is not reaped while the block runs."""
    command = [sys.executable, "-c", LEADER_WITH_HELPER + then]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        kill_group(process.pid)
        process.wait()
        process.stdout.close()


def is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and not is_zombie(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refuse(*_: int) -> NoReturn:
    raise PermissionError(1, "Operation not permitted")


def test_helpers_end_with_their_leader() -> None:
    with group("time.sleep(600)") as (leader, helper):
        kill_group(leader)
        wait_until_gone(leader)
        wait_until_gone(helper)


def test_helpers_end_where_their_leader_is_a_zombie() -> None:
    with group("os._exit(0)") as (leader, helper):
        wait_until_gone(leader)
        assert is_zombie(leader)
        kill_group(leader)
        wait_until_gone(helper)


def test_a_zombie_that_is_alone_in_its_group_is_no_error_as_linux_answers_and_as_macos_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with group("os._exit(0)") as (leader, helper):
        os.kill(helper, signal.SIGKILL)
        wait_until_gone(helper)
        wait_until_gone(leader)
        kill_group(leader)
        monkeypatch.setattr(os, "killpg", refuse)
        kill_group(leader)  # macOS: EPERM
        monkeypatch.undo()


def test_a_group_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with group("os._exit(0)") as (leader, _):
        pass
    kill_group(leader)
    monkeypatch.setattr(os, "killpg", refuse)
    kill_group(leader)  # EPERM for helpers of another user whose leader is reaped already


def test_a_running_leader_that_refuses_signals_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "killpg", refuse)
    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(PermissionError):
        kill_group(os.getpid())


def spec(tmp_path: Path, script: str) -> ChildSpec:
    (tmp_path / "scripted.py").write_text(script)
    return ChildSpec("scripted", tmp_path / "job.json", {"PYTHONPATH": str(tmp_path)}, 1, None, 1)


async def test_a_child_ends_where_killpg_answers_as_on_macos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "killpg", refuse)
    child = await Child.start(spec(tmp_path, "raise SystemExit(7)"), lambda _: None)
    assert await asyncio.wait_for(child.wait(), 20) == 7


async def test_a_child_whose_reports_cannot_be_taken_is_ended_instead_of_left_to_fill_its_pipe(
    tmp_path: Path,
) -> None:
    def broken(_: Report) -> NoReturn:
        raise RuntimeError("a defect")

    script = """
import time
from messages.child_protocol import Progress
print(Progress(stage="training").model_dump_json(), flush=True)
time.sleep(600)
"""
    child = await Child.start(spec(tmp_path, script), broken)
    with pytest.raises(RuntimeError, match="a defect"):
        await asyncio.wait_for(child.wait(), 20)
    wait_until_gone(child.pid)
