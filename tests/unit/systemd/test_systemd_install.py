"""`install.sh` on a host below another root, whose commands only note how they were called."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.units import FOLDER, unit_path

SCRIPT = FOLDER / "install.sh"
PIP = "-m pip install --quiet --disable-pip-version-check"

# Each notes its name and arguments; what FAIL names ends with 1.
NOTING = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
[ "$(basename "$0") ${1%%=*}" != "$FAIL" ]
"""
# A python that makes such an environment as venv does, whose pip only notes what it would install.
PYTHON = """#!/bin/sh
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo "venv $3" >> "$CALLS" ;;
  "-m pip") echo "pip $*" >> "$CALLS"; echo "${PIP_INSTALLS:-1.2.3}" > "$(dirname "$0")/version" ;;
  "-c import sys"*) exit "${PYTHON_TOO_OLD:-0}" ;;
  *) cat "$(dirname "$0")/version" ;;
esac
"""


@dataclass
class Host:
    root: Path
    bin: Path

    @property
    def venv(self) -> Path:
        return self.root / "opt" / "receipt-layoutlm"

    @property
    def settings(self) -> Path:
        return self.root / "etc" / "layoutlm" / "worker.env"

    def install(
        self, *arguments: str, script: Path = SCRIPT, environ: dict[str, str] | None = None
    ) -> tuple[int, list[str], str]:
        """Run the script; returns exit code, the calls that it made, and what it said."""
        calls = self.root.parent / "calls"
        calls.write_text("")
        answer = subprocess.run(
            ["bash", str(script), *arguments],
            env={
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "DESTDIR": str(self.root),
                "CALLS": str(calls),
                "FAIL": "",
                **(environ or {}),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return answer.returncode, calls.read_text().splitlines(), answer.stdout + answer.stderr


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with Python and systemd, and nothing of ours."""
    host = Host(tmp_path / "root", tmp_path / "bin")
    host.bin.mkdir()
    stand_ins = {"systemctl": NOTING, "systemd-sysusers": NOTING}
    stand_ins |= dict.fromkeys(("python3.11", "python3.12", "python3.13", "python3.14", "python3"), PYTHON)
    for name, text in stand_ins.items():
        (host.bin / name).write_text(text)
        (host.bin / name).chmod(0o755)
    return host


@pytest.fixture
def ready(host: Host) -> Host:
    """Such a host whose settings somebody has filled in."""
    host.settings.parent.mkdir(parents=True)
    host.settings.write_text("AWS_REGION=us-east-1\n")
    return host


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_wrong() -> None:
    answer = subprocess.run(["shellcheck", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert answer.stdout == ""
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.parametrize("kind", ["train", "export"])
def test_a_fresh_host_gets_user_unit_package_and_a_worker_that_starts_with_the_host(
    ready: Host, kind: str
) -> None:
    code, calls, said = ready.install("1.2.3", kind)
    unit = f"layoutlm-{kind}-worker.service"
    assert (code, f"{unit} polls" in said) == (0, True), said
    constraints = f"{FOLDER}/../constraints.txt"
    assert calls == [
        f"systemd-sysusers --root={ready.root} receipt-layoutlm.conf",
        "systemctl daemon-reload",
        f"venv {ready.venv}",
        "systemctl stop layoutlm-*-worker.service",
        f"pip {PIP} --constraint {constraints} receipt-layoutlm[{kind}]==1.2.3",
        f"systemctl enable --quiet {unit}",
        f"systemctl start {unit}",
    ]
    assert (ready.root / "etc/systemd/system" / unit).read_text() == unit_path(kind).read_text()
    assert (ready.root / "etc/sysusers.d/receipt-layoutlm.conf").exists()
    assert ready.settings.read_text() == "AWS_REGION=us-east-1\n"


def test_run_again_it_neither_stops_the_worker_nor_makes_anything_anew(ready: Host) -> None:
    ready.install("1.2.3")
    code, calls, _ = ready.install("1.2.3")
    assert code == 0
    assert not [call for call in calls if call.startswith(("venv", "systemctl stop", "systemctl restart"))]
    assert calls[-1] == "systemctl start layoutlm-train-worker.service"


def test_another_version_is_installed_while_no_worker_runs(ready: Host) -> None:
    ready.install("1.2.3")
    code, calls, _ = ready.install("1.3.0", environ={"PIP_INSTALLS": "1.3.0"})
    assert code == 0
    stop, pip, _, start = calls[2:]
    assert stop == "systemctl stop layoutlm-*-worker.service"
    assert pip.endswith("receipt-layoutlm[train]==1.3.0")
    assert start == "systemctl start layoutlm-train-worker.service"


def test_without_settings_it_leaves_an_example_that_only_root_reads_and_starts_nothing(host: Host) -> None:
    code, calls, said = host.install("1.2.3")
    assert (code, "Fill it in" in said) == (78, True)
    assert stat.S_IMODE(host.settings.stat().st_mode) == 0o600
    assert host.settings.read_text() == (FOLDER / "worker.env.example").read_text()
    assert not [call for call in calls if call.startswith(("systemctl start", "systemctl enable"))]


def test_constraints_beside_the_script_go_before_those_above_it(ready: Host, tmp_path: Path) -> None:
    copied = tmp_path / "handed" / "systemd"
    shutil.copytree(FOLDER, copied)
    code, calls, _ = ready.install("1.2.3", script=copied / "install.sh")
    assert (code, [call for call in calls if "--constraint" in call]) == (0, [])
    (copied / "constraints.txt").write_text("")
    _, calls, _ = ready.install("1.2.3", script=copied / "install.sh")
    assert [call for call in calls if f"--constraint {copied}/constraints.txt" in call]


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "sentence"),
    [
        ((), {}, 1, "Say which version"),
        (("1.2.3", "infer"), {}, 64, "There is no infer worker"),
        (("1.2.3",), {"PYTHON_TOO_OLD": "1"}, 69, "No Python 3.11 or newer"),
        (("1.2.3",), {"FAIL": "systemctl start"}, 69, "journalctl -u layoutlm-train-worker.service"),
        (("1.2.3",), {"FAIL": "systemd-sysusers --root"}, 1, ""),
    ],
)
def test_what_goes_wrong_is_said_and_ends_it(
    ready: Host, arguments: tuple[str, ...], environ: dict[str, str], code: int, sentence: str
) -> None:
    ended, _, said = ready.install(*arguments, environ=environ)
    assert (ended, sentence in said) == (code, True), said
    assert "polls" not in said


def test_files_can_be_read_by_the_workers_user_whatever_roots_own_mask_is(ready: Host) -> None:
    before = os.umask(0o077)
    try:
        ready.install("1.2.3")
    finally:
        os.umask(before)
    assert stat.S_IMODE((ready.venv / "bin").stat().st_mode) == 0o755
