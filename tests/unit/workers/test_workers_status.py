"""The socket that a worker answers on: who may ask, and what is shown of those that cannot answer."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from workers.errors import SettingsError
from workers.health import Health
from workers.side_tasks import side_tasks
from workers.stop import Stop
from workers.telemetry.status_socket import read_statuses, status_served

A_DEAD_PID = 2**22 + 1
"""Above what Linux gives out."""


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[None]:
    """Something at a worker's socket that gives one answer."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(answer)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


async def ask(run_dir: Path) -> list[dict[str, object]]:
    """Every worker's status, read in a thread as another process would, while this loop answers."""
    return [json.loads(one.model_dump_json()) for one in await asyncio.to_thread(read_statuses, run_dir)]


async def test_a_served_report_is_read_by_kind_and_process(run_dir: Path) -> None:
    health = Health()
    health.polled()
    async with status_served(health, "train", run_dir / "run") as served:
        path = served.path
        (one,) = await ask(run_dir / "run")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (one["kind"], one["pid"], one["fresh"], one["reasons"]) == ("train", os.getpid(), True, [])
    assert not path.exists()
    assert await ask(run_dir / "run") == []


@pytest.mark.parametrize("what", ["socket", "folder"])
async def test_a_socket_that_something_has_removed_is_made_again(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr("workers.telemetry.status_socket.LOOK_SECONDS", 0.01)
    health = Health()
    async with (
        status_served(health, "train", run_dir / "run") as served,
        side_tasks(Stop(), health.report_fault) as tasks,
    ):
        tasks.start("status socket", served.keep)
        served.path.unlink()
        if what == "folder":
            served.path.parent.rmdir()
        async with asyncio.timeout(10):
            while not await ask(run_dir / "run"):  # noqa: ASYNC110 - nobody tells a test
                await asyncio.sleep(0.01)
    assert not served.path.exists()


async def test_readers_that_do_not_read_hold_nobody_up(run_dir: Path) -> None:
    async with status_served(Health(), "train", run_dir) as served:
        silent = []
        for _ in range(20):
            reader = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            reader.connect(str(served.path))
            silent.append(reader)
        assert len(await ask(run_dir)) == 1
        for reader in silent:
            reader.close()


async def test_a_worker_whose_loop_is_stuck_is_shown_as_one_that_does_not_answer(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.telemetry.status_socket.ANSWER_SECONDS", 0.05)
    async with status_served(Health(), "export", run_dir):
        (one,) = read_statuses(run_dir)  # on the loop itself, which therefore cannot answer
    assert (one.kind, one.fresh, one.report) == ("export", False, None)
    assert "did not answer" in one.reasons[0]


def test_an_answer_of_another_version_is_shown_as_one(run_dir: Path) -> None:
    with answering(run_dir / "train-1.sock", b'{"mood": "fine"}'):
        (one,) = read_statuses(run_dir)
    assert one.reasons == ("it answered in a form that this version does not know",)


def test_a_worker_that_ended_while_it_was_asked_is_not_shown(run_dir: Path) -> None:
    with answering(run_dir / "train-1.sock", b""):
        assert read_statuses(run_dir) == []


async def test_a_start_clears_the_folder_of_killed_workers_and_of_nothing_else(run_dir: Path) -> None:
    killed, living = run_dir / f"train-{A_DEAD_PID}.sock", run_dir / "train-1.sock"
    own, other = run_dir / f"train-{os.getpid()}.sock", run_dir / "notes.txt"
    for path in (killed, living, own):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
            left.bind(str(path))
    other.touch()
    assert read_statuses(run_dir) == []
    async with status_served(Health(), "train", run_dir):
        assert sorted(run_dir.iterdir()) == sorted([living, own, other])


async def test_a_path_too_long_for_a_socket_names_the_setting(run_dir: Path) -> None:
    with pytest.raises(SettingsError, match="Set LAYOUTLM_RUN_DIR to a shorter path"):
        async with status_served(Health(), "train", run_dir / ("x" * 100)):
            pass


async def test_a_folder_that_cannot_be_made_names_the_setting(run_dir: Path) -> None:
    (run_dir / "file").touch()
    with pytest.raises(SettingsError, match="LAYOUTLM_RUN_DIR"):
        async with status_served(Health(), "train", run_dir / "file"):
            pass


def test_a_folder_of_another_user_says_who_may_read_it(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> Iterator[Path]:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SettingsError, match="Run this as the user of the workers"):
        read_statuses(run_dir)
