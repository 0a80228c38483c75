"""Work folders of killed daemons: removed by the next one, and only once nobody works in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from workers.errors import SettingsError
from workers.local_aws.local_stack import LocalStack
from workers.runtime.attempt_folder import Orphans

PATIENCE_SECONDS = 60.0


@dataclass
class Host:
    """One work folder, and the daemons that share it."""

    stack: LocalStack
    folder: Path
    exits: ExitStack

    @property
    def attempts(self) -> Path:
        return self.folder / "work" / "attempts"

    def start(self, log: str) -> subprocess.Popen[bytes]:
        return self.exits.enter_context(self._started(log))

    @contextmanager
    def _started(self, log: str) -> Iterator[subprocess.Popen[bytes]]:
        environ = self.stack.child_environ(
            LAYOUTLM_WORK_DIR=str(self.folder / "work"),
            LAYOUTLM_RUN_DIR=str(self.folder / "run"),
            LAYOUTLM_POLL_SECONDS="1",
            LAYOUTLM_LEASE_SECONDS="600",  # no job comes back while this test runs
        )
        with (self.folder / log).open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.scripted_worker", "train-worker"],
                env=environ,
                stderr=stream,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def train(self, name: str, script: str) -> Path:
        """Send a job; returns the folder of its attempt once its child has a job file there."""
        before = set(self.attempts.glob("*/job.json"))
        body = f'{{"job_name": "{name}", "tags": {{"script": "{script}"}}}}'
        self.stack.client("sqs").send_message(
            QueueUrl=self.stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody=body
        )
        wait_until(lambda: set(self.attempts.glob("*/job.json")) - before)
        [job_file] = set(self.attempts.glob("*/job.json")) - before
        return job_file.parent

    def said(self, log: str) -> str:
        return (self.folder / log).read_text()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def host(stack: LocalStack, run_dir: Path) -> Iterator[Host]:
    with ExitStack() as exits:
        yield Host(stack, run_dir, exits)


def child_of(daemon: subprocess.Popen[bytes]) -> psutil.Process:
    wait_until(lambda: psutil.Process(daemon.pid).children())
    [child] = psutil.Process(daemon.pid).children()
    return child


def test_the_folder_of_a_killed_daemon_goes_and_the_one_of_a_living_daemon_stays(host: Host) -> None:
    killed = host.start("killed.log")
    orphan = host.train("killed", "stubborn")
    living = host.start("living.log")
    kept = host.train("living", "stubborn")
    (orphan / "weights").write_bytes(bytes(1_000_000))
    child = child_of(killed)
    killed.kill()
    killed.wait()
    child.wait(PATIENCE_SECONDS)
    assert (orphan / "weights").exists()  # nobody was left to remove it
    host.start("next.log")
    wait_until(lambda: not orphan.exists())
    wait_until(lambda: "worker ready" in host.said("next.log"))
    assert orphan.name in host.said("next.log")
    assert (kept / "job.json").exists()
    assert living.poll() is None


def test_the_child_of_a_killed_daemon_keeps_its_folder_until_it_has_ended(host: Host) -> None:
    daemon = host.start("killed.log")
    folder = host.train("killed", "stubborn")
    child = child_of(daemon)
    child.suspend()  # else it would end itself as soon as its daemon has
    daemon.kill()
    daemon.wait()
    host.start("next.log")
    wait_until(lambda: "worker ready" in host.said("next.log"))
    assert (folder / "job.json").exists()
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: not folder.exists())  # by the daemon that is idle now


def test_an_attempt_that_ended_leaves_nothing(host: Host) -> None:
    host.start("log")
    assert not host.attempts.exists() or not list(host.attempts.iterdir())
    host.stack.client("sqs").send_message(
        QueueUrl=host.stack.environ["TRAIN_JOB_QUEUE_URL"], MessageBody='{"job_name": "short"}'
    )
    wait_until(lambda: "message handled" in host.said("log"))
    assert list(host.attempts.iterdir()) == []


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "attempts"
    folder.mkdir(parents=True, mode=0o700)
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").touch()
    return folder


@pytest.mark.parametrize(
    "trick",
    [
        lambda attempts, outside: (attempts / "trick").symlink_to(outside),
        lambda attempts, outside: (_made(attempts / "x") / "trick").symlink_to(outside),
        lambda attempts, outside: (_made(attempts / "x") / "trick").symlink_to(outside / "precious"),
        lambda attempts, outside: (_made(attempts / "x") / "trick").hardlink_to(outside / "precious"),
    ],
    ids=["a link for a folder", "a link to a folder in it", "a link to a file in it", "a hard link in it"],
)
def test_links_lead_the_removal_nowhere(
    attempts: Path, outside: Path, trick: Callable[[Path, Path], None]
) -> None:
    trick(attempts, outside)
    orphans = Orphans(attempts.parent)
    orphans.remove()
    assert (outside / "precious").exists()
    assert not (attempts / "x").exists()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_only_attempts_are_removed_from_a_work_folder(attempts: Path) -> None:
    others = [attempts.parent / name for name in ("checkpoints", ".cache", "huggingface")]
    for folder in (*others, attempts / "x"):
        _made(folder)
    (attempts / "file").touch()
    orphans = Orphans(attempts.parent)
    orphans.remove()
    orphans.remove()
    assert all(folder.exists() for folder in others)
    assert [path.name for path in attempts.iterdir()] == ["file"]


def test_a_work_folder_that_cannot_be_made_ends_the_start_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file cannot be used: .*Set LAYOUTLM_WORK_DIR"):
        Orphans(tmp_path / "file").remove()
