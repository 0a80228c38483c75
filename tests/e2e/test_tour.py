"""The README's five minutes work as printed: the very lines, in two shells."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = Path(sys.executable).parent


def block(terminal: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- tour: {terminal} terminal -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert found, f"the README has no block for the {terminal} terminal"
    return found[1]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that looks like a clone with `.venv` in it."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(SCRIPTS)
    return tmp_path


@pytest.fixture
def first_terminal(place: Path) -> Iterator[Path]:
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAYOUTLM_"))
    }
    bash = shutil.which("bash") or "bash"
    process = subprocess.Popen(
        [bash, "-c", block("first")],
        cwd=place,
        env=environ,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        env_file = place / "local.env"
        for _ in range(600):
            if env_file.exists() and "COREML_EXPORT_RESULTS_QUEUE_URL" in env_file.read_text():
                break
            assert process.poll() is None
            time.sleep(0.1)
        yield place
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def test_the_tour_works_as_printed(first_terminal: Path) -> None:
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAYOUTLM_"))
    }
    bash = shutil.which("bash") or "bash"
    answer = subprocess.run(
        [bash, "-euo", "pipefail", "-c", block("second")],
        cwd=first_terminal,
        env={**environ, "AWS_PAGER": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert re.search(r"layoutlm-tour\s+0\.\d+", answer.stdout)
    assert "coreml/layoutlm-coreml-bundle.zip" in answer.stdout
    assert "LayoutLM.mlpackage/Manifest.json" in answer.stdout
    assert '"status":"succeeded"' in answer.stdout
    assert '"status":"SUCCEEDED"' in answer.stdout
