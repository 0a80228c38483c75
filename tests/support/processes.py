"""`layoutlm-cli` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    code: int
    errors: str

    @property
    def lines(self) -> list[str]:
        """What it wrote on standard error."""
        return self.errors.splitlines()


def run_command(*arguments: str, environ: Mapping[str, str]) -> Ended:
    """Run it with these variables over those of the test; an empty one is left out."""
    merged = {**os.environ, **environ}
    ended = subprocess.run(
        [sys.executable, "-m", "layoutlm_cli", *arguments],
        env={name: value for name, value in merged.items() if value},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Ended(ended.returncode, ended.stderr)
