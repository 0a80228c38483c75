"""Fixtures of the chaos tests: a template process that workers fork from, and a socket for child reports."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.crew import Crew
from tests.chaos.gate import Gate, gate_to
from tests.chaos.listener import Listener, listening
from tests.chaos.matrix import Matrix
from tests.chaos.stage import Clients, open_clients
from tests.chaos.wire import VARIABLE
from tests.chaos.workers import Workers
from workers.local_aws.local_stack import MotoServer

CHILD_ENDS_SECONDS = 5


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder whose name leaves room for those of sockets."""
    made = Path(tempfile.mkdtemp(prefix="chaos-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def workers(folder: Path) -> Iterator[Workers]:
    with Workers(folder / "wire") as ready:
        yield ready


@pytest.fixture
async def clients(emulator: MotoServer) -> AsyncIterator[Clients]:
    async with open_clients(emulator.endpoint_url) as opened:
        yield opened


@pytest.fixture
async def listener(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    monkeypatch.setenv(VARIABLE, str(folder / "wire"))  # for children of workers in this process
    async with listening(folder / "wire") as listener:
        yield listener


@pytest.fixture
async def matrix(
    workers: Workers, clients: Clients, folder: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Matrix]:
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)  # the second worker's children pay for it at every start
    yield Matrix(workers, clients, folder, listener)
    assert not children_left(folder)


def children_left(folder: Path) -> list[str]:
    """The children of jobs with their files in a folder that lived on, after a moment in which to end."""
    children = {
        process: line
        for process in psutil.process_iter(["cmdline"])
        if "-m tests.chaos." in (line := " ".join(process.info["cmdline"] or ())) and str(folder) in line
    }
    _, alive = psutil.wait_procs(children, timeout=CHILD_ENDS_SECONDS)
    for process in alive:
        process.kill()
    return [children[process] for process in alive]


@pytest.fixture
async def crew(clients: Clients, workers: Workers, folder: Path, listener: Listener) -> AsyncIterator[Crew]:
    gathered = await Crew.gather(clients, workers, folder, listener)
    yield gathered
    await gathered.dismiss()
    assert not children_left(folder)


@pytest.fixture
async def gate(clients: Clients) -> AsyncIterator[Gate]:
    """A way to the emulator for those daemons that are told of it."""
    async with gate_to(clients.endpoint_url) as opened:
        yield opened
