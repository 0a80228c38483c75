"""Renders, installs and removes the launchd agent."""

from __future__ import annotations

import math
import os
import plistlib
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workers.errors import SettingsError, WorkerError
from workers.host.systemd_notify import FINISH_SECONDS
from workers.jobs.registry import NEEDS
from workers.settings import Settings

LABEL = "receipt-layoutlm.export-worker"
EXIT_MARGIN_SECONDS = 30
THROTTLE_SECONDS = 60
"""Seconds between starts by launchd, which knows no final exit codes and restarts even after 77 and 78.

The other side of it is that the worker comes back by itself after `aws sso login`.
"""

_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_PLACES = (
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HF_HOME",
    "HF_HUB_CACHE",
    "XDG_CACHE_HOME",
)
_OTHERS = (
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    *_PROXIES,
    *(name.lower() for name in _PROXIES),
)
"""Variables that libraries read from a login's environment; launchd gives an agent none of them."""
_PATHS = ("LAYOUTLM_WORK_DIR", "LAYOUTLM_RUN_DIR", *_PLACES)
_SYSTEM_PATH = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""A `credential_process` of ~/.aws/config is looked up here: helpers are Homebrew's, as a rule."""


def plist_path() -> Path:
    """The path where launchd finds an agent of this user."""
    return Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"


def log_path() -> Path:
    """The file of the worker's JSON log lines; the Console app shows its folder."""
    return Path.home() / "Library" / "Logs" / "receipt-layoutlm" / "export-worker.log"


@dataclass(frozen=True, slots=True)
class Agent:
    """The export worker as launchd is to run it.

    Attributes:
        program: the `layoutlm-cli` to start, as an absolute path.
        environ: what the worker takes from its environment.
        stop_seconds: how long a stop may take.
    """

    program: Path
    environ: Mapping[str, str]
    stop_seconds: int

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Agent:
        """The agent of this installation, with the settings that are set now.

        Raises:
            SettingsError: a setting is missing or wrong, or a secret is among them.
        """
        source = os.environ if environ is None else environ
        settings = Settings.from_environ(source)
        settings.require(*NEEDS["export"])
        stop = settings.poll_seconds + settings.drain_seconds + FINISH_SECONDS + EXIT_MARGIN_SECONDS
        return cls(_program(), _environment(source), math.ceil(stop))

    def properties(self) -> dict[str, Any]:
        """The property list, see launchd.plist(5)."""
        return {
            "Label": LABEL,
            "ProgramArguments": [str(self.program), "export-worker"],
            "EnvironmentVariables": {"PATH": f"{self.program.parent}:{_SYSTEM_PATH}", **self.environ},
            "RunAtLoad": True,
            # A worker that was stopped on purpose ends with 0 and stays away until the next login.
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": THROTTLE_SECONDS,
            "ExitTimeOut": self.stop_seconds,
            # The Mac's user comes first; an export may take longer.
            "ProcessType": "Background",
            "LowPriorityIO": True,
            "StandardOutPath": str(log_path()),
            "StandardErrorPath": str(log_path()),
        }

    def render(self) -> bytes:
        """The property list as launchd reads it."""
        return plistlib.dumps(self.properties())

    def write(self) -> None:
        """Write the agent's file, and make the folder of its log, which launchd does not."""
        log_path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = plist_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        # launchd refuses a file that others may write, and no other user needs to know queues and buckets.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.render())


def _environment(source: Mapping[str, str]) -> dict[str, str]:
    secrets = [name for name in _SECRETS if source.get(name)]
    if secrets:
        raise SettingsError(
            f"{', '.join(secrets)} must not lie in a file. Unset {'it' if len(secrets) == 1 else 'them'} "
            "and set AWS_PROFILE to a profile of ~/.aws/config, for example one made by `aws configure sso`."
        )
    wanted = (*Settings.variables(), *_PLACES, *_OTHERS)
    given = {name: source[name] for name in wanted if source.get(name)}
    with_password = [name for name, value in given.items() if _has_password(value)]
    if with_password:
        raise SettingsError(
            f"{', '.join(with_password)}: an address with a password must not lie in a file. Set it without "
            "one, for example to a proxy on this Mac that signs in."
        )
    # launchd starts the worker in /, from where a relative path leads elsewhere.
    return given | {name: str(Path(given[name]).absolute()) for name in _PATHS if name in given}


def _has_password(value: str) -> bool:
    """Whether this is an address with a password; some leave the scheme of a proxy out."""
    try:
        return bool(urlsplit(value if "://" in value else f"//{value}").password)
    except ValueError:  # no address
        return False


def _program() -> Path:
    program = Path(sys.executable).with_name("layoutlm-cli")
    if not program.exists():
        raise SettingsError(
            f"There is no layoutlm-cli beside {sys.executable}. Install receipt-layoutlm[export] into a "
            "virtual environment and run this command from there."
        )
    return program


_UNKNOWN = {3, 113}
"""No such process, could not find the service: how it says that the agent is not there."""
_IN_PROGRESS = 36
"""The exit code of launchctl for a job that is still stopping."""
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
    """The agent's state in launchd: state, pid, runs, last exit code; None when launchd does not know it.

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
