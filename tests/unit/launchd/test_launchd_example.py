"""The agent's example in launchd/ is what the code renders."""

from __future__ import annotations

import plistlib
import runpy
from pathlib import Path

import pytest

from workers.jobs.registry import NEEDS
from workers.operator.launchd_agent import LABEL
from workers.settings import Settings

ROOT = Path(__file__).parent.parent.parent.parent
EXAMPLE = ROOT / "launchd" / f"{LABEL}.plist"


def test_the_example_is_current() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "make_launchd_example.py"))
    assert EXAMPLE.read_bytes() == made["example"](), "run `make reference`"


def test_the_example_does_not_depend_on_the_user_that_renders_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "not-for-a-file")
    monkeypatch.setenv("LAYOUTLM_DRAIN_SECONDS", "7")
    made = runpy.run_path(str(ROOT / "scripts" / "make_launchd_example.py"))
    assert EXAMPLE.read_bytes() == made["example"]()


def test_the_example_has_the_settings_that_an_export_worker_requires() -> None:
    properties = plistlib.loads(EXAMPLE.read_bytes())
    Settings.from_environ(properties["EnvironmentVariables"]).require(*NEEDS["export"])
    assert properties["ProgramArguments"] == ["/opt/receipt-layoutlm/bin/layoutlm-cli", "export-worker"]
    assert properties["StandardOutPath"].startswith("/Users/worker/Library/Logs/")
