"""A child ends itself when the daemon that holds its lease is gone, silent or late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from messages.child_protocol import ChildExit
from receipt_dynamo.clock import steady_seconds
from run_records.job_process.lease_guard import LOOK_SECONDS, LeaseGuard

StartChild = Callable[[str], "subprocess.Popen[bytes]"]

WATCHED = """
import time
from run_records.job_process.lease_guard import watch_lease

watch_lease()
print("up", flush=True)
time.sleep(60)
"""
TALKATIVE = """
import os, time
from run_records.job_process.lease_guard import watch_lease

watch_lease()
print("up", flush=True)
while True:
    os.write(2, b"a library complains " * 100)
"""
ASLEEP_FOR_AN_HOUR = """
import threading, time
from run_records.job_process.lease_guard import LeaseGuard, steady_seconds

woken = threading.Event()
sleeper = LeaseGuard(0, steady=lambda: steady_seconds() + 3600 * woken.is_set())
threading.Thread(target=sleeper.watch, daemon=True).start()
print("up", flush=True)
time.sleep(0.2)
woken.set()
time.sleep(60)
"""


@pytest.fixture
def start() -> Iterator[StartChild]:
    started = []

    def start(code: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def say(child: subprocess.Popen[bytes], seconds: float) -> None:
    """What the daemon says: the job is ours for so long from now."""
    assert child.stdin is not None
    child.stdin.write(f"{steady_seconds() + seconds:.3f}\n".encode())


def test_it_ends_at_once_when_the_daemon_is_gone(start: StartChild) -> None:
    child = start(WATCHED)
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(10) == ChildExit.LAPSED
    assert child.stderr is not None
    assert b"the daemon is gone" in child.stderr.read()


def test_it_ends_when_the_lease_runs_out_in_silence(start: StartChild) -> None:
    child = start(WATCHED)
    say(child, 30)
    say(child, 0.2)
    assert child.wait(10) == ChildExit.LAPSED


def test_a_line_that_is_read_late_is_still_right(start: StartChild) -> None:
    child = start(WATCHED)
    child.send_signal(signal.SIGSTOP)
    say(child, -0.001)
    child.send_signal(signal.SIGCONT)
    assert child.wait(10) == ChildExit.LAPSED


def test_a_frozen_daemon_that_empties_no_pipe_does_not_hold_it(start: StartChild) -> None:
    child = start(TALKATIVE)
    say(child, 0.5)
    assert child.wait(10) == ChildExit.LAPSED


def test_it_looks_at_the_clock_also_when_the_host_has_slept(start: StartChild) -> None:
    child = start(ASLEEP_FOR_AN_HOUR)
    say(child, 60)
    assert child.wait(LOOK_SECONDS + 10) == ChildExit.LAPSED


def test_a_guard_that_cannot_read_the_daemon_ends_the_process(start: StartChild) -> None:
    child = start(WATCHED)
    assert child.stdin is not None
    child.stdin.write(b"soon\n")
    assert child.wait(10) == ChildExit.LAPSED


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_nothing_is_written_before_the_daemons_first_word(pipe: tuple[int, int]) -> None:
    guard = LeaseGuard(pipe[0], steady=lambda: 5.0)
    writer = threading.Thread(target=guard.check)
    writer.start()
    os.write(pipe[1], b"10.0")
    writer.join(0.1)
    assert writer.is_alive()
    os.write(pipe[1], b"00\n")
    writer.join(10)
    assert not writer.is_alive()


def test_the_last_whole_line_counts(pipe: tuple[int, int]) -> None:
    now = 5.0
    guard = LeaseGuard(pipe[0], steady=lambda: now)
    os.write(pipe[1], b"1.000\n10.000\n2")
    guard.check()
    now = 15.0
    os.write(pipe[1], b"0.000\n")
    guard.check()


def test_many_lines_are_heard_before_the_clock_is_looked_at(pipe: tuple[int, int]) -> None:
    guard = LeaseGuard(pipe[0], steady=lambda: 2000.5)
    os.write(pipe[1], "".join(f"{second:.3f}\n" for second in range(2002)).encode())
    guard.check()
