"""The real daemon as a process, with a scripted child for the model and a loop that a signal blocks.

SIGUSR1 blocks the loop until SIGUSR2; TEST_POLL_MARGIN_SECONDS says how soon an unanswered poll counts.
"""

from __future__ import annotations

import os
import signal
import sys

from layoutlm_cli.main import main
from tests.support.work import SCRIPTED
from workers import health
from workers.host.systemd_notify import Systemd
from workers.jobs.training import TrainingHandler


def block(*_: object) -> None:
    sys.stderr.write("blocked\n")
    sys.stderr.flush()
    signal.sigwait({signal.SIGUSR2})


if __name__ == "__main__":
    TrainingHandler.module = SCRIPTED
    health.POLL_MARGIN_SECONDS = float(os.environ.get("TEST_POLL_MARGIN_SECONDS", health.POLL_MARGIN_SECONDS))
    # The watchdog of the tests is shorter than any lease, so that its signs come quickly.
    Systemd.check = lambda *_: None  # type: ignore[method-assign]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    signal.signal(signal.SIGUSR1, block)
    main()
