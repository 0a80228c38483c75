"""Processes on a disk that is as good as full: the kernel refuses any file above a size."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


def run_with_small_files(
    *arguments: str, limit_bytes: int, environ: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run Python until it ends; returns all that it printed.

    It measures no coverage: the data file, cut short as well, would be a warning after the last line of what
    the process prints, and a damaged file among those that the report is made of.
    """
    merged = os.environ if environ is None else environ
    return subprocess.run(
        [sys.executable, *arguments],
        env={name: value for name, value in merged.items() if not name.startswith("COVERAGE_")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
