"""The units fit the workers that they run, and systemd finds no fault in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from layoutlm_cli.main import app
from tests.support.units import FOLDER, KINDS, MARK, PROGRAM, environment, read_unit, seconds, unit_path
from workers.errors import CredentialsMissing, EndpointLost, QueueUnusable, SettingsError
from workers.host.systemd_notify import FINISH_SECONDS
from workers.jobs.registry import NEEDS
from workers.settings import Settings

DEFAULTS = Settings.from_environ({})
MOST_EXPOSED = 2.5

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed (apt-get install systemd)",
)
both = pytest.mark.parametrize("kind", KINDS)


def analyze(kind: str, folder: Path, *arguments: str) -> str:
    """Ask systemd about a unit whose program is there; returns all that it says."""
    unit = folder / unit_path(kind).name
    unit.write_text(unit_path(kind).read_text().replace(PROGRAM, sys.executable))
    answer = subprocess.run(
        ["systemd-analyze", *arguments, str(unit)],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout + answer.stderr


@needs_systemd
@both
def test_systemd_finds_nothing_wrong_in_a_unit(kind: str, tmp_path: Path) -> None:
    assert analyze(kind, tmp_path, "verify") == ""


@needs_systemd
@both
def test_a_unit_is_hardly_exposed(kind: str, tmp_path: Path) -> None:
    said = analyze(kind, tmp_path, "security", "--offline=true")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSED


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_the_user_can_be_made_and_lives_where_libraries_may_write(tmp_path: Path) -> None:
    line = (FOLDER / "receipt-layoutlm.sysusers").read_text()
    folder = tmp_path / "etc" / "sysusers.d"
    folder.mkdir(parents=True)
    (folder / "receipt-layoutlm.conf").write_text(line)
    answer = subprocess.run(
        ["systemd-sysusers", "--dry-run", f"--root={tmp_path}", "receipt-layoutlm.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    said = answer.stdout + answer.stderr
    assert (answer.returncode, "Creating user 'receipt-layoutlm'" in said) == (0, True), said
    unit = read_unit("train")
    assert f"/var/cache/{unit['CacheDirectory'][0]}" == line.split()[-1]
    assert unit["User"] == ["receipt-layoutlm"]


def test_what_both_workers_share_is_written_alike() -> None:
    first, second = (unit_path(kind).read_text().partition(MARK) for kind in KINDS)
    assert first[1] == MARK
    assert first[2] == second[2]
    limits = ("StartLimitIntervalSec", "StartLimitBurst")
    assert all(read_unit("train")[key] == read_unit("export")[key] for key in limits)


@both
def test_a_unit_starts_a_command_that_there_is(kind: str) -> None:
    [line] = read_unit(kind)["ExecStart"]
    program, command = line.split()
    assert program == PROGRAM
    assert command in {known.name for known in app.registered_commands}


@both
def test_the_watchdog_waits_for_longer_than_the_lease_and_the_stop_for_longer_than_a_drain(kind: str) -> None:
    unit = read_unit(kind)
    assert unit["Type"] == ["notify"]
    assert seconds(unit, "WatchdogSec") > DEFAULTS.lease_seconds
    stop = DEFAULTS.poll_seconds + DEFAULTS.drain_seconds + FINISH_SECONDS
    assert seconds(unit, "TimeoutStopSec") > stop
    assert unit["KillMode"] == ["mixed"]


@both
def test_a_worker_is_started_again_unless_that_changes_nothing(kind: str) -> None:
    unit = read_unit(kind)
    assert unit["Restart"] == ["on-failure"]
    final = {int(code) for code in unit["RestartPreventExitStatus"][0].split()}
    assert final == {error.exit_code for error in (SettingsError, QueueUnusable, CredentialsMissing)}
    assert EndpointLost.exit_code not in final


@both
def test_starts_that_fail_at_once_are_given_up_and_those_that_wait_for_aws_are_not(kind: str) -> None:
    unit = read_unit(kind)
    burst, interval = seconds(unit, "StartLimitBurst"), seconds(unit, "StartLimitIntervalSec")
    pause = seconds(unit, "RestartSec")
    assert burst * (pause + 10) < interval
    assert burst * (pause + 30) > interval


@both
def test_a_child_that_is_killed_for_memory_does_not_take_the_worker_along(kind: str) -> None:
    assert read_unit(kind)["OOMPolicy"] == ["continue"]


def test_a_train_worker_reaches_the_gpu_and_an_export_worker_no_device() -> None:
    train, export = read_unit("train"), read_unit("export")
    assert (train["DevicePolicy"], train["DeviceAllow"]) == (["closed"], ["char-nvidia* rwm"])
    assert "PrivateDevices" not in train
    assert (export["DevicePolicy"], export["PrivateDevices"]) == (["closed"], ["yes"])
    assert "DeviceAllow" not in export


@both
@pytest.mark.parametrize(
    "line",
    ["MemoryDenyWriteExecute=no", "ProcSubset=all", "RestrictAddressFamilies=", "SystemCallFilter=@system"],
)
def test_what_is_left_open_says_why(kind: str, line: str) -> None:
    lines = unit_path(kind).read_text().splitlines()
    [place] = [number for number, text in enumerate(lines) if text.startswith(line)]
    assert lines[place - 1].startswith("# ")


@both
def test_a_worker_writes_only_where_systemd_made_it_a_folder(kind: str) -> None:
    unit = read_unit(kind)
    settings = Settings.from_environ(environment(unit, "/var/cache", "/run"))
    assert settings.work_dir == Path("/var/cache", *unit["CacheDirectory"])
    assert settings.run_dir == Path("/run", *unit["RuntimeDirectory"])
    assert unit["ProtectSystem"] == ["strict"]
    # Both workers have their sockets in one folder, which the first one to end must not remove.
    assert unit["RuntimeDirectoryPreserve"] == ["yes"]


def test_the_example_of_the_settings_names_what_the_workers_need_and_no_secret() -> None:
    lines = (FOLDER / "worker.env.example").read_text().splitlines()
    shown = [line.lstrip("#").split("=") for line in lines if re.match(r"#?[A-Z_]+=", line)]
    known = Settings.variables()
    assert {name for name, _ in shown} <= set(known)
    needed = {name for kind in NEEDS.values() for name in kind}
    assert needed <= {known[name] for name, _ in shown}
    set_here = Settings.from_environ(dict(shown))
    assert set_here.lease_seconds == DEFAULTS.lease_seconds
    assert (set_here.poll_seconds, set_here.drain_seconds) == (DEFAULTS.poll_seconds, DEFAULTS.drain_seconds)
