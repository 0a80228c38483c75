"""Logging follows its newest configuration, whichever lines were written before."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import textwrap

import pytest
import structlog
from structlog.testing import capture_logs

from workers.telemetry.logs import configure_logging

log = structlog.get_logger(__name__)


def test_a_logger_that_was_used_follows_the_next_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    log.info("written as JSON")
    assert json.loads(capsys.readouterr().err)["event"] == "written as JSON"
    with capture_logs() as lines:
        log.info("captured")
    assert [line["event"] for line in lines] == ["captured"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("turn", [1, 2])
def test_no_test_inherits_the_logging_of_another(turn: int) -> None:
    assert not structlog.is_configured(), turn
    configure_logging(verbose=True)


def test_the_lines_of_other_libraries_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    for name in ("botocore.credentials", "aiobotocore", "urllib3.connectionpool", "asyncio"):
        logging.getLogger(name).warning("refreshing %s\nfailed", "it")
        logging.getLogger(name).info("found credentials")  # of no interest
    try:
        int("of the library")
    except ValueError:
        logging.getLogger("botocore").exception("it failed")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["refreshing it\nfailed"] * 4 + ["it failed"]
    assert [line["logger"] for line in lines][:2] == ["botocore.credentials", "aiobotocore"]
    assert {"level", "time"} <= set(lines[0])
    assert "ValueError: invalid literal" in lines[-1]["exception"]


@pytest.mark.parametrize(
    "ends",
    [
        "warnings.warn('old')",
        "raise RuntimeError('a defect')",
        "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
        "asyncio.run(leave_a_task_that_failed())",
        "logging.getLogger('x').error('said %s', 'it')",
        "raise KeyError('\\u2028 \\ud800')",
    ],
)
def test_a_daemons_log_is_json_however_its_process_ends(ends: str) -> None:
    script = textwrap.dedent(f"""
        import asyncio, gc, logging, threading, warnings
        from workers.telemetry.logs import configure_logging

        async def fail():
            raise RuntimeError("nobody waits for this")

        async def leave_a_task_that_failed():
            task = asyncio.create_task(fail())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            del task
            gc.collect()

        configure_logging()
        {ends}
    """)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert lines, ended
    assert all({"event", "level", "time"} <= set(line) for line in lines)
    assert ended.returncode == int(ends.startswith("raise"))
