"""The real workers, started as their units start them: command line, settings, notify socket, exit codes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.units import KINDS, PROGRAM, environment, read_unit, seconds
from workers.local_aws.local_stack import LocalStack

PATIENCE_SECONDS = 60
OURS = str(Path(sys.executable).with_name("layoutlm-cli"))


@dataclass
class Started:
    """A worker, and the abstract socket by which systemd hears it."""

    process: subprocess.Popen[str]
    socket: socket.socket
    heard: list[str] = field(default_factory=list)

    def wait_for(self, text: str) -> str:
        while not self.heard or text not in self.heard[-1]:
            self.heard.append(self.socket.recv(1000).decode())
        return self.heard[-1]


@contextmanager
def started(kind: str, environ: dict[str, str], folder: Path) -> Iterator[Started]:
    """Start what the unit says, in its surroundings; its standard error is the journal."""
    unit = read_unit(kind)
    command = unit["ExecStart"][0].replace(PROGRAM, OURS).split()
    surroundings = environment(unit, str(folder / "cache"), str(folder / "run"))
    watchdog = seconds(unit, "WatchdogSec") * 1_000_000
    address = f"layoutlm-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{address}")
        listener.settimeout(PATIENCE_SECONDS)
        told = {"NOTIFY_SOCKET": f"@{address}", "WATCHDOG_USEC": str(watchdog)}
        process = subprocess.Popen(
            command, env={**environ, **surroundings, **told}, stderr=subprocess.PIPE, text=True
        )
        try:
            yield Started(process, listener)
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("kind", KINDS)
def test_a_unit_starts_its_worker_hears_that_it_is_ready_and_stops_it_within_its_patience(
    stack: LocalStack, run_dir: Path, kind: str
) -> None:
    with started(kind, stack.child_environ(LAYOUTLM_POLL_SECONDS="1"), run_dir) as worker:
        worker.wait_for("READY=1")
        [answers] = (run_dir / "run" / "receipt-layoutlm").glob(f"{kind}-{worker.process.pid}.sock")
        assert answers.is_socket()
        worker.process.send_signal(signal.SIGTERM)
        asked = worker.wait_for("STOPPING=1").split("EXTEND_TIMEOUT_USEC=")[1]
        assert int(asked) / 1e6 <= seconds(read_unit(kind), "TimeoutStopSec")
        assert worker.process.wait(PATIENCE_SECONDS) == 0
        assert worker.process.stderr is not None
        journal = [json.loads(line) for line in worker.process.stderr]
    assert [line["event"] for line in journal if line["event"].startswith("worker")] == [
        "worker ready",
        "worker stopped",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"DYNAMO_TABLE_NAME": ""}, "DYNAMO_TABLE_NAME is not set"),
        ({"DYNAMO_TABLE_NAME": "NoSuchTable"}, "NoSuchTable"),
        (
            {"LAYOUTLM_LEASE_SECONDS": "120"},
            "WatchdogSec of the unit (120 s) is not longer than LAYOUTLM_LEASE",
        ),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nowhere"}, "No AWS credentials"),
    ],
)
def test_a_worker_that_starting_again_does_not_mend_ends_as_its_unit_takes_for_final(
    stack: LocalStack, run_dir: Path, change: dict[str, str], says: str
) -> None:
    with started("export", stack.child_environ(**change), run_dir) as worker:
        _, journal = worker.process.communicate(timeout=PATIENCE_SECONDS)
        assert says in json.loads(journal.splitlines()[-1])["error"]
        [final] = read_unit("export")["RestartPreventExitStatus"]
        assert str(worker.process.returncode) in final.split()
