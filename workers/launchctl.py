"""Has launchd take, drop and describe our agent, by the one command that it offers for that."""

from __future__ import annotations

import os
import re
import subprocess

from workers.errors import SettingsError, WorkerError
from workers.launchd import LABEL, Agent, plist_path

_UNKNOWN = {3, 113}
"""No such process, could not find the service: how it says that the agent is not there."""
_IN_PROGRESS = 36
"""How it says that a job takes its time to stop."""
_FACT = re.compile(r"^\t(state|pid|runs|last exit code) = (.+)$", re.MULTILINE)


def install(agent: Agent) -> None:
    """Write the agent's file and have launchd run it, now and after each login.

    Raises:
        SettingsError: there is no launchd here.
        WorkerError: it is installed already, or launchd does not take it.
    """
    if read_state() is not None:
        raise WorkerError(
            f"{LABEL} is installed already. Run `layoutlm-cli launchd uninstall` first, and wait until "
            "`layoutlm-cli launchd status` says that it is gone."
        )
    agent.write()
    try:
        _tell("bootstrap", _domain(), str(plist_path()))
    except WorkerError:
        plist_path().unlink()  # else the next login would take what was refused now
        raise


def uninstall() -> bool:
    """Have launchd stop the worker and forget it, and remove its file; False when there was neither.

    Raises:
        SettingsError: there is no launchd here.
        WorkerError: launchd does not let it go; the file stays.
    """
    loaded, written = read_state() is not None, plist_path().exists()
    if loaded:
        _tell("bootout", f"{_domain()}/{LABEL}")
    plist_path().unlink(missing_ok=True)
    return loaded or written


def read_state() -> dict[str, str] | None:
    """What launchd says of the agent: state, pid, runs, last exit code; None when it does not know it.

    Raises:
        SettingsError: there is no launchd here.
        WorkerError: launchd does not answer for this user.
    """
    answer = _ask("print", f"{_domain()}/{LABEL}")
    if answer.returncode in _UNKNOWN:
        return None
    _check(answer)
    # It has no form for machines; without these lines there is less to show, and nothing breaks.
    return dict(_FACT.findall(answer.stdout))


def _domain() -> str:
    return f"gui/{os.getuid()}"


def _tell(*arguments: str) -> None:
    answer = _ask(*arguments)
    if answer.returncode != _IN_PROGRESS:
        _check(answer)


def _check(answer: subprocess.CompletedProcess[str]) -> None:
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip().rstrip(".")
        raise WorkerError(
            f"launchctl {answer.args[1]} ended with {answer.returncode}: {said}. Run this as the user who is "
            "logged in at the Mac's screen; Console shows launchd's own log."
        )


def _ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["launchctl", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607 - found on PATH, as in a shell
    except FileNotFoundError as error:
        raise SettingsError(
            "There is no launchctl here: launchd is macOS's. Run this on the Mac; on Linux use the units in "
            "systemd/. `layoutlm-cli launchd print` works everywhere."
        ) from error
