"""Ends a long-running command cleanly on a signal."""

from __future__ import annotations

import signal
from typing import NoReturn


def leave_by_signal() -> None:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt, so that what the command has started ends with it.

    SIGINT, too: a shell without job control starts background commands with SIGINT ignored, and Python leaves
    it at that.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(*_: object) -> NoReturn:
    raise KeyboardInterrupt
