"""The command line inside the test's process: what `main` prints, and how it ends."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

import structlog

from layoutlm_cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> list[str]:
        """The lines of standard error that a person reads, log lines left out."""
        return [line for line in self.stderr.splitlines() if line.strip() and not line.startswith("{")]


def run_here(*arguments: str, environ: Mapping[str, str], typed: str = "") -> Ended:
    """Run `layoutlm-cli ARGUMENTS` by its entry point, with these variables and nothing else changed.

    What is no SystemExit, and would be a traceback, is raised.
    """
    out, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["layoutlm-cli", *arguments]),
        mock.patch.object(sys, "stdin", io.StringIO(typed)),
        mock.patch.dict("os.environ", environ),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        finally:
            structlog.reset_defaults()  # its loggers hold the stream of this command
    return Ended(int(code or 0), out.getvalue(), errors.getvalue())
