"""The command: where it listens, how it ends, and what it says when it cannot begin."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.dashboards import running_dashboard
from workers.local_aws.local_stack import LocalStack

COMMAND = (sys.executable, "-m", "layoutlm_cli", "dashboard")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_ends_cleanly_with_a_page_open(
    stack: LocalStack, how: signal.Signals
) -> None:
    with running_dashboard(stack) as dashboard:
        with urllib.request.urlopen(f"{dashboard.address}/queues/events", timeout=20) as stream:  # noqa: S310 - ours
            assert stream.readline().startswith(b"event: part")
            code, said = dashboard.stop(how)
        assert (code, "Traceback" in said) == (0, False), said
        assert "# read-only; Ctrl-C here ends it" in said
        assert said.endswith("# ended\n")


def test_it_listens_on_this_machine_alone(stack: LocalStack) -> None:
    with running_dashboard(stack) as dashboard:
        port = int(dashboard.address.rpartition(":")[2])
        listening = [
            line.split()[1]
            for line in Path(f"/proc/{dashboard.process.pid}/net/tcp")
            .read_text(encoding="ascii")
            .splitlines()
            if f":{port:04X} 00000000:0000 0A" in line
        ]
        assert listening == [f"0100007F:{port:04X}"]


def test_a_port_that_is_taken_is_said_with_what_to_do(stack: LocalStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = subprocess.run(
            [*COMMAND, "--port", str(taken.getsockname()[1])],
            env=stack.child_environ(),
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 78
    assert "Pass another --port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_missing_library_names_the_extra(stack: LocalStack, tmp_path: Path) -> None:
    (tmp_path / "starlette").mkdir()
    (tmp_path / "starlette" / "__init__.py").write_text(
        "raise ModuleNotFoundError('no starlette', name='starlette')", encoding="utf-8"
    )
    ended = subprocess.run(
        COMMAND,
        env=stack.child_environ(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 78
    assert "pip install 'receipt-layoutlm[dashboard]'" in ended.stderr


def test_without_a_table_it_does_not_begin(stack: LocalStack) -> None:
    ended = subprocess.run(
        [*COMMAND, "--port", "0"],
        env=stack.child_environ(DYNAMO_TABLE_NAME=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 78
    assert "DYNAMO_TABLE_NAME" in ended.stderr
