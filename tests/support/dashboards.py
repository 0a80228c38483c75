"""The dashboard as a process of its own, as people start it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workers.local_aws.local_stack import LocalStack

STOP_SECONDS = 20


@dataclass
class RunningDashboard:
    """The process, and the address that it printed."""

    process: subprocess.Popen[str]
    address: str

    def stop(self, signal_number: int) -> tuple[int, str]:
        """Send it a signal; returns its exit code and what it wrote to standard error."""
        self.process.send_signal(signal_number)
        _, said = self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode, said


@contextmanager
def running_dashboard(stack: LocalStack, *options: str) -> Iterator[RunningDashboard]:
    """Start it on a free port; it is ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "layoutlm_cli", "dashboard", "--port", "0", *options],
        env=stack.child_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.communicate()[1]
        yield RunningDashboard(process, address)
    finally:
        process.kill()
        process.communicate()
