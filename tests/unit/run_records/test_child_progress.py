"""Lines of progress come from work that goes on, and stop with it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from messages.child_protocol import Progress, Report
from run_records.job_process.child_main import Reporter
from run_records.job_process.heartbeat import Activity, ProgressReporter


class Heard(Reporter):
    """A reporter whose lines stay here."""

    def __init__(self) -> None:
        super().__init__(None)
        self.lines: list[Progress] = []
        self.enough = threading.Event()

    def send(self, report: Report) -> None:
        assert isinstance(report, Progress)
        self.lines.append(report)
        if len(self.lines) > 3:
            self.enough.set()


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_a_stage_that_says_nothing_is_reported_while_it_computes(heard: Heard) -> None:
    give_up = time.monotonic() + 20
    with ProgressReporter(heard, interval_seconds=0, look_seconds=0.01).working("converting"):
        while not heard.enough.is_set() and time.monotonic() < give_up:
            sum(range(10_000))
    assert {line.stage for line in heard.lines} == {"converting"}
    assert "at work for" in heard.lines[-1].message


_LOCKED_UP = """
import threading
from run_records.job_process.child_main import Reporter
from run_records.job_process.heartbeat import ProgressReporter

class Heard(Reporter):
    def send(self, report):
        print(report.stage, report.message)

lock = threading.Lock()
with lock, ProgressReporter(Heard(None), interval_seconds=0, look_seconds=3).working("encoding"):
    lock.acquire(timeout=3.5)
"""


def test_a_stage_that_is_locked_up_falls_silent() -> None:
    """Looked at as seldom as looking is nothing beside waiting, and where nothing else computes."""
    heard = subprocess.run([sys.executable, "-c", _LOCKED_UP], capture_output=True, text=True, check=True)
    assert heard.stdout.split() == ["encoding"]


def test_the_watching_ends_with_the_stage(heard: Heard) -> None:
    with pytest.raises(ZeroDivisionError), ProgressReporter(heard).working("encoding"):
        raise ZeroDivisionError
    assert not any(thread.name == "pulse-encoding" for thread in threading.enumerate())


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="nobody counts a process's bytes here")
def test_bytes_that_move_are_life_also_where_they_take_no_computing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 1.0)
    activity = Activity()
    assert not activity.goes_on()
    (tmp_path / "file").write_bytes(bytes(100_000))
    assert activity.goes_on()
    assert not activity.goes_on()


def test_a_transfer_is_reported_under_the_stage_that_it_belongs_to(heard: Heard) -> None:
    pulse = ProgressReporter(heard, interval_seconds=0)
    pulse.say("uploading", "checkpoint-5")
    pulse.moved(4096)
    pulse.moved(-4096)
    assert [(line.stage, line.message) for line in heard.lines] == [
        ("uploading", "checkpoint-5"),
        ("uploading", "transferring"),
    ]


def test_lines_that_nobody_insists_on_are_few(heard: Heard) -> None:
    pulse = ProgressReporter(heard, interval_seconds=60)
    for step in range(5):
        pulse.beat("training", step=step)
    pulse.say("uploading")
    assert [line.stage for line in heard.lines] == ["training", "uploading"]
