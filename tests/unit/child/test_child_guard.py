"""A child ends itself when the daemon that holds its lease is gone or silent."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from messages.child import ChildExit

CHILD = """
import time
from receipt_layoutlm.guard import watch_lease

watch_lease()
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def say(child: subprocess.Popen[bytes], text: str) -> None:
    assert child.stdin is not None
    child.stdin.write(text.encode())


def test_it_ends_at_once_when_the_daemon_is_gone(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(10) == ChildExit.RETRY


def test_it_ends_when_the_lease_runs_out_in_silence(child: subprocess.Popen[bytes]) -> None:
    say(child, "0.3\n")
    assert child.wait(10) == ChildExit.RETRY


def test_it_goes_on_while_the_lease_is_renewed(child: subprocess.Popen[bytes]) -> None:
    for _ in range(8):
        say(child, "0.5\n")
        time.sleep(0.1)
    say(child, "30\n")
    time.sleep(1)
    assert child.poll() is None


def test_it_waits_for_the_first_word_however_long_it_takes(child: subprocess.Popen[bytes]) -> None:
    time.sleep(0.5)
    assert child.poll() is None
