"""A Mac is kept awake for as long as a job runs, by a caffeinate on PATH that notes when it runs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from tests.support.work import training_bench
from workers.host.keep_awake import kept_awake
from workers.local_aws.local_stack import LocalStack
from workers.runtime import message_processor as handle

BODY = {"job_id": "8d7c1c1f-2a2f-4d0e-9a51-6d5a5c7b2f10", "job_name": "demo", "tags": {"script": "succeed"}}
CAFFEINATE = """#!/bin/sh
echo "$$ $*" >> "$0.calls"
exec sleep 600
"""


@pytest.fixture
def caffeinate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the command on PATH; returns where it notes its process and arguments."""
    command = tmp_path / "bin" / "caffeinate"
    command.parent.mkdir()
    command.write_text(CAFFEINATE)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    return command.with_name("caffeinate.calls")


async def running(calls: Path) -> tuple[psutil.Process, list[str]]:
    """The keeper that has been started, once it says so, and its arguments."""
    deadline = time.monotonic() + 30
    while not calls.exists() or not calls.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    [call] = calls.read_text().splitlines()
    pid, *arguments = call.split()
    return psutil.Process(int(pid)), arguments


async def test_a_mac_is_held_off_its_idle_sleep_while_the_block_runs_and_as_long_as_we_live(
    caffeinate: Path,
) -> None:
    async with kept_awake("darwin"):
        keeper, arguments = await running(caffeinate)
        assert arguments == ["-i", "-w", str(os.getpid())]
        assert os.getpgid(keeper.pid) != os.getpgid(0)  # Ctrl-C reaches us, and not it
    assert not keeper.is_running()


async def test_it_is_let_go_when_the_block_fails(caffeinate: Path) -> None:
    keepers = []

    async def fail() -> None:
        async with kept_awake("darwin"):
            keepers.append((await running(caffeinate))[0])
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await fail()
    assert not keepers[0].is_running()


async def test_a_keeper_that_ended_by_itself_changes_nothing_and_is_said(caffeinate: Path) -> None:
    with capture_logs() as logs:
        async with kept_awake("darwin"):
            keeper, _ = await running(caffeinate)
            keeper.kill()
            async with asyncio.timeout(30):
                while psutil.pid_exists(keeper.pid):  # noqa: ASYNC110 - nobody tells a test
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
    assert [line["event"] for line in logs] == ["the power assertion ended before the job"]


async def test_a_keeper_that_lasts_says_nothing(caffeinate: Path) -> None:
    with capture_logs() as logs:
        async with kept_awake("darwin"):
            await running(caffeinate)
    assert logs == []


async def test_elsewhere_nothing_is_started(caffeinate: Path) -> None:
    async with kept_awake("linux"):
        pass
    assert not caffeinate.exists()


async def test_a_mac_without_the_command_works_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with capture_logs() as logs:
        async with kept_awake("darwin"):
            pass
    [line] = logs
    assert "no power assertion" in line["event"]


async def test_a_worker_keeps_its_host_awake_from_the_claim_to_the_result_and_not_while_it_waits(
    stack: LocalStack, tmp_path: Path, caffeinate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[str] = []

    @asynccontextmanager
    async def noted() -> AsyncIterator[None]:
        async with kept_awake("darwin"):
            keeper, _ = await running(caffeinate)
            yield
            held.extend(result["status"] for result in await bench.results())
            assert keeper.is_running()

    monkeypatch.setattr(handle, "kept_awake", noted)
    async with training_bench(stack, tmp_path) as bench:
        await bench.work_once()
        assert not caffeinate.exists()
        await bench.send(BODY)
        await bench.work_once()
    assert held == ["succeeded"]
    keeper = int(caffeinate.read_text().split()[0])
    assert not psutil.pid_exists(keeper)
