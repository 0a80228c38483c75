"""Notifications to systemd, over a socket that the test reads."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from workers.health import Health
from workers.host.systemd_notify import Systemd
from workers.settings import Settings
from workers.side_tasks import side_tasks
from workers.stop import Stop


def test_without_its_socket_there_is_no_systemd() -> None:
    assert Systemd.from_environ({}) is None
    assert Systemd.from_environ({"WATCHDOG_USEC": "1000000"}) is None


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_only_a_watchdog_that_waits_for_this_process_is_fed(
    environ: dict[str, str], seconds: float | None
) -> None:
    systemd = Systemd.from_environ({"NOTIFY_SOCKET": "/run/notify", **environ})
    assert systemd == Systemd("/run/notify", seconds)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_an_abstract_socket_is_reached() -> None:
    name = f"receipt-layoutlm-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        systemd = Systemd.from_environ({"NOTIFY_SOCKET": f"@{name}"})
        assert systemd is not None
        assert systemd.send("READY=1", "STATUS=idle")
        manager.settimeout(5)
        assert manager.recv(100) == b"READY=1\nSTATUS=idle"


def test_a_socket_that_takes_nothing_holds_nobody_up(run_dir: Path) -> None:
    with capture_logs() as logs:
        assert not Systemd(str(run_dir / "nobody")).send("WATCHDOG=1")
    assert [line["event"] for line in logs] == ["systemd not told"]


@asynccontextmanager
async def telling(address: Path, health: Health, stop: Stop) -> AsyncIterator[None]:
    """A worker that tells this address how it is."""
    systemd = Systemd(str(address))
    async with side_tasks(stop, health.report_fault) as tasks:
        systemd.start_telling(tasks, health, stop, Settings.from_environ({}))
        yield


@pytest.fixture
def manager(run_dir: Path) -> Iterator[socket.socket]:
    """A socket that is not bound yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        yield manager


async def hears(manager: socket.socket) -> str:
    return (await asyncio.get_running_loop().sock_recv(manager, 1000)).decode()


async def test_status_stop_and_readiness_are_told_when_they_come_and_not_before(
    run_dir: Path, manager: socket.socket
) -> None:
    health, stop = Health(), Stop()
    manager.bind(str(run_dir / "notify"))
    async with telling(run_dir / "notify", health, stop):
        assert await hears(manager) == "STATUS=starting; 0 handled"
        stop.request()
        assert await hears(manager) == "STOPPING=1\nEXTEND_TIMEOUT_USEC=150000000"
        health.polled()
        assert await hears(manager) == "READY=1"


async def test_readiness_and_stop_are_told_again_until_they_are_taken(
    run_dir: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.host.systemd_notify.TICK_SECONDS", 0.01)
    health, stop, told = Health(), Stop(), asyncio.Event()
    send = Systemd.send

    def noted(systemd: Systemd, *lines: str) -> bool:
        if lines[0] == "STOPPING=1":
            told.set()
        return send(systemd, *lines)

    monkeypatch.setattr(Systemd, "send", noted)
    health.polled()
    with capture_logs():
        stop.request()
        async with telling(run_dir / "notify", health, stop):
            await told.wait()
            manager.bind(str(run_dir / "notify"))
            assert {await hears(manager) for _ in range(3)} == {
                "READY=1",
                "STATUS=idle; 0 handled",
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=150000000",
            }
