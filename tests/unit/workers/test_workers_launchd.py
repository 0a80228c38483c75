"""The property list says to launchd what the export worker needs, and nothing that is secret."""

from __future__ import annotations

import plistlib
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workers.errors import SettingsError
from workers.host.systemd_notify import FINISH_SECONDS
from workers.operator.launchd_agent import LABEL, Agent, log_path, plist_path
from workers.settings import Settings

NEEDED = {
    "DYNAMO_TABLE_NAME": "receipts",
    "LAYOUTLM_TRAINING_BUCKET": "runs",
    "COREML_EXPORT_JOB_QUEUE_URL": "https://sqs/jobs",
    "COREML_EXPORT_RESULTS_QUEUE_URL": "https://sqs/results",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def read(**environ: str) -> dict[str, Any]:
    """What launchd would read of the agent that these settings make."""
    properties: dict[str, Any] = plistlib.loads(Agent.from_environ({**NEEDED, **environ}).render())
    return properties


def test_launchd_reads_what_was_meant() -> None:
    agent = Agent.from_environ(NEEDED)
    assert plistlib.loads(agent.render()) == agent.properties()


def test_it_starts_this_installations_worker_by_an_absolute_path() -> None:
    said = read()
    program, command = said["ProgramArguments"]
    assert (Path(program), command) == (Path(sys.executable).with_name("layoutlm-cli"), "export-worker")
    assert Path(program).is_file()
    assert said["Label"] == LABEL
    assert said["EnvironmentVariables"]["PATH"].split(":") == [
        str(Path(program).parent),
        "/opt/homebrew/bin",
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
        "/usr/sbin",
        "/sbin",
    ]


def test_it_starts_at_login_and_again_after_a_failure_but_not_after_a_stop_nor_in_a_hurry() -> None:
    said = read()
    assert said["RunAtLoad"] is True
    assert said["KeepAlive"] == {"SuccessfulExit": False}
    assert said["ThrottleInterval"] >= 60


@pytest.mark.parametrize("given", [{}, {"LAYOUTLM_DRAIN_SECONDS": "900.5", "LAYOUTLM_POLL_SECONDS": "3"}])
def test_a_stop_may_take_longer_than_poll_drain_and_record_together(given: dict[str, str]) -> None:
    settings = Settings.from_environ(given)
    usual = settings.poll_seconds + settings.drain_seconds + FINISH_SECONDS
    patience = read(**given)["ExitTimeOut"]
    assert isinstance(patience, int)
    assert usual + 10 < patience < usual + 60


def test_whoever_sits_at_the_mac_comes_first() -> None:
    said = read()
    assert (said["ProcessType"], said["LowPriorityIO"]) == ("Background", True)


def test_all_that_it_says_goes_to_one_log_of_the_user(home: Path) -> None:
    said = read()
    assert said["StandardOutPath"] == said["StandardErrorPath"] == str(log_path())
    assert log_path().is_relative_to(home / "Library" / "Logs")


def test_it_takes_the_settings_that_are_set_and_the_profile_along_and_nothing_else() -> None:
    given = {"AWS_PROFILE": "exports", "LAYOUTLM_LEASE_SECONDS": "60", "AWS_DEFAULT_REGION": "us-east-1"}
    environ = read(**given, LAYOUTLM_CACHE_BYTES="", EDITOR="vi", GITHUB_TOKEN="t")["EnvironmentVariables"]
    assert {name: environ[name] for name in environ if name != "PATH"} == {**NEEDED, **given}


@pytest.mark.parametrize(
    "name",
    [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
        "AWS_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "HF_HOME",
        "HF_HUB_OFFLINE",
        "AWS_USE_FIPS_ENDPOINT",
        "XDG_CACHE_HOME",
    ],
)
def test_what_the_libraries_need_of_a_login_goes_along(name: str) -> None:
    assert read(**{name: "/x"})["EnvironmentVariables"][name] == "/x"


def test_an_agent_behind_a_proxy_reaches_it_with_what_the_property_list_says() -> None:
    """By the libraries' own reading of the environment, not by names."""
    given = {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "169.254.169.254,.internal"}
    environ = read(**given)["EnvironmentVariables"]
    code = (
        "from botocore.utils import get_environ_proxies as proxies\n"
        "print(proxies('https://sqs.us-east-1.amazonaws.com').get('https'), proxies('https://x.internal'))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["http://proxy.example:3128", "{}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "http://me:hidden@proxy.example:3128"),
        ("http_proxy", "me:hidden@proxy.example:3128"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:hidden@collector.example"),
    ],
)
def test_an_address_with_a_password_is_refused_without_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: an address with a password") as refused:
        read(**{name: value})
    assert "hidden" not in str(refused.value)


def test_paths_hold_wherever_launchd_starts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"LAYOUTLM_WORK_DIR": "work", "AWS_CONFIG_FILE": "/etc/aws", "AWS_CA_BUNDLE": "ca.pem"}
    environ = read(**given)["EnvironmentVariables"]
    assert (environ["LAYOUTLM_WORK_DIR"], environ["AWS_CONFIG_FILE"]) == (str(tmp_path / "work"), "/etc/aws")
    assert environ["AWS_CA_BUNDLE"] == str(tmp_path / "ca.pem")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_a_secret_is_refused_by_its_name_and_without_its_value(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} .*AWS_PROFILE") as refused:
        read(**{name: "hidden"})
    assert "hidden" not in str(refused.value)


def test_a_setting_that_would_only_end_the_worker_is_refused_before() -> None:
    with pytest.raises(SettingsError, match="DYNAMO_TABLE_NAME is not set"):
        read(DYNAMO_TABLE_NAME="")
    with pytest.raises(SettingsError, match="LAYOUTLM_LEASE_SECONDS"):
        read(LAYOUTLM_LEASE_SECONDS="soon")


def test_an_installation_without_the_command_is_told_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    with pytest.raises(SettingsError, match="virtual environment"):
        read()


def test_the_file_is_its_owners_alone_even_where_another_lay_and_its_log_has_a_folder(home: Path) -> None:
    plist_path().parent.mkdir(parents=True)
    plist_path().write_text("left over")
    plist_path().chmod(0o666)
    agent = Agent.from_environ(NEEDED)
    agent.write()
    assert plist_path() == home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    assert stat.S_IMODE(plist_path().stat().st_mode) == 0o600
    assert plist_path().read_bytes() == agent.render()
    assert stat.S_IMODE(log_path().parent.stat().st_mode) == 0o700
