"""`layoutlm-cli launchd`, with a launchctl on PATH that notes its calls and answers as launchd does."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from layoutlm_cli.main import main
from workers.local_aws.local_stack import CREDENTIALS

DOMAIN = f"gui/{os.getuid()}"
LABEL = "receipt-layoutlm.export-worker"
SERVICE = f"{DOMAIN}/{LABEL}"
NEEDED = {
    "DYNAMO_TABLE_NAME": "receipts",
    "LAYOUTLM_TRAINING_BUCKET": "runs",
    "COREML_EXPORT_JOB_QUEUE_URL": "https://sqs/jobs",
    "COREML_EXPORT_RESULTS_QUEUE_URL": "https://sqs/results",
    "AWS_PROFILE": "exports",
}
# What `launchctl print` shows, shortened; nested lines are about something else.
PRINTED = """gui/501/receipt-layoutlm.export-worker = {
	active count = 1
	state = running
	endpoints = {
		state = active
	}
	runs = 2
	pid = 4711
	last exit code = 69
}
"""
LAUNCHCTL = """#!/bin/sh
echo "$*" >> "$LOADED.calls"
case "$1" in
  bootstrap) [ -n "$REFUSED" ] && echo "Bootstrap failed: 5: Input/output error" >&2 && exit 5
             touch "$LOADED" ;;
  bootout) rm "$LOADED"; exit "${BOOTOUT:-0}" ;;
  print) [ -n "$NO_DOMAIN" ] && echo "Domain does not support specified action" >&2 && exit 125
         [ -e "$LOADED" ] || exit 113
         cat "$LOADED.printed" ;;
esac
"""


@dataclass
class Answer:
    returncode: int
    stdout: str
    stderr: str


@dataclass
class Mac:
    folder: Path
    capture: pytest.CaptureFixture[str]

    @property
    def plist(self) -> Path:
        return self.folder / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    @property
    def changes(self) -> list[str]:
        """What launchd was told to do, without what it was only asked."""
        calls = (self.folder / "loaded.calls").read_text().splitlines()
        return [call for call in calls if not call.startswith("print")]

    def launchd(self, command: str, **environ: str) -> Answer:
        """Run the command here, with the Mac's surroundings instead of ours."""
        surroundings = {
            "PATH": f"{self.folder}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LOADED": str(self.folder / "loaded"),
            **NEEDED,
            **environ,
        }
        with pytest.MonkeyPatch.context() as patch:
            for name in CREDENTIALS:
                patch.delenv(name)
            for name, value in surroundings.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["layoutlm-cli", "launchd", command])
            with pytest.raises(SystemExit) as ended:
                main()
        said = self.capture.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)


@pytest.fixture
def mac(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Mac:
    launchctl = tmp_path / "launchctl"
    launchctl.write_text(LAUNCHCTL)
    launchctl.chmod(0o755)
    (tmp_path / "loaded.printed").write_text(PRINTED)
    return Mac(tmp_path, capsys)


def test_an_agent_is_installed_shown_and_uninstalled(mac: Mac) -> None:
    assert mac.launchd("status").returncode == 3
    installed = mac.launchd("install")
    assert (installed.returncode, str(mac.plist) in installed.stdout) == (0, True), installed.stderr
    assert mac.plist.read_text() == mac.launchd("print").stdout
    shown = mac.launchd("status")
    assert shown.returncode == 0
    lines = [line.split() for line in shown.stdout.splitlines()]
    for fact in (["state", "running"], ["pid", "4711"], ["runs", "2"], ["last", "exit", "code", "69"]):
        assert [line for line in lines if [word for word in line if word != "│"] == fact], shown.stdout
    assert mac.launchd("uninstall").returncode == 0
    assert not mac.plist.exists()
    assert mac.changes == [f"bootstrap {DOMAIN} {mac.plist}", f"bootout {SERVICE}"]
    assert mac.launchd("uninstall").returncode == 3


def test_an_agent_that_is_there_is_not_replaced_under_a_running_worker(mac: Mac) -> None:
    mac.launchd("install")
    before = mac.plist.read_text()
    again = mac.launchd("install", DYNAMO_TABLE_NAME="other")
    assert again.returncode == 70
    assert "launchd uninstall" in again.stderr
    assert (mac.plist.read_text(), len(mac.changes)) == (before, 1)


def test_a_worker_that_takes_its_time_to_stop_is_uninstalled_all_the_same(mac: Mac) -> None:
    mac.launchd("install")
    assert mac.launchd("uninstall", BOOTOUT="36").returncode == 0
    assert not mac.plist.exists()


def test_what_launchd_does_not_let_go_keeps_its_file(mac: Mac) -> None:
    mac.launchd("install")
    refused = mac.launchd("uninstall", BOOTOUT="1")
    assert (refused.returncode, "launchctl bootout ended with 1" in refused.stderr) == (70, True)
    assert mac.plist.exists()


def test_what_launchd_refuses_leaves_no_file_for_the_next_login(mac: Mac) -> None:
    refused = mac.launchd("install", REFUSED="1")
    assert refused.returncode == 70
    assert "ended with 5: Bootstrap failed: 5: Input/output error. Run this as the user" in refused.stderr
    assert not mac.plist.exists()


def test_a_file_that_launchd_does_not_know_is_removed(mac: Mac) -> None:
    mac.plist.parent.mkdir(parents=True)
    mac.plist.touch()
    assert mac.launchd("uninstall").returncode == 0
    assert (mac.plist.exists(), mac.changes) == (False, [])


def test_a_user_without_a_screen_is_told_so(mac: Mac) -> None:
    answer = mac.launchd("status", NO_DOMAIN="1")
    assert (answer.returncode, "logged in at the Mac's screen" in answer.stderr) == (70, True)


def test_a_secret_is_installed_nowhere(mac: Mac) -> None:
    answer = mac.launchd("install", AWS_SECRET_ACCESS_KEY="hidden")
    assert answer.returncode == 78
    assert "AWS_PROFILE" in answer.stderr
    assert not mac.plist.exists()


def test_a_host_without_launchd_is_told_what_to_do_and_can_print(mac: Mac) -> None:
    (mac.folder / "launchctl").unlink()
    for command in ("install", "uninstall", "status"):
        answer = mac.launchd(command)
        assert answer.returncode == 78
        assert "There is no launchctl here" in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
    assert LABEL in mac.launchd("print").stdout
    assert not mac.plist.exists()
