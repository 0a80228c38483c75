"""Broken profiles, keys, files and settings of AWS: each ends by its exit code and one sentence."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from receipt_dynamo import DynamoClient
from receipt_dynamo.errors import CredentialsError, InvalidSetting
from run_records.errors import SetupError
from run_records.s3_store import S3Store
from tests.support.commands import run_here
from tests.support.fake_imds import fake_imds, moment
from tests.support.processes import run_command
from workers import daemon
from workers.local_aws.local_stack import LocalStack
from workers.runtime import loop
from workers.telemetry.logs import configure_logging

NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
SETTINGS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "DYNAMO_TABLE_NAME": "table",
    "LAYOUTLM_TRAINING_BUCKET": "bucket",
    "TRAIN_JOB_QUEUE_URL": "http://127.0.0.1:9/1/train",
    "TRAIN_RESULTS_QUEUE_URL": "http://127.0.0.1:9/1/trained",
    "COREML_EXPORT_JOB_QUEUE_URL": "http://127.0.0.1:9/1/export",
    "COREML_EXPORT_RESULTS_QUEUE_URL": "http://127.0.0.1:9/1/exported",
}
CREDENTIALS, CONFIG = 77, 78
FAULTS: dict[str, tuple[dict[str, str], int, str]] = {
    "unknown profile": ({"AWS_PROFILE": "nobody"}, CREDENTIALS, r"profile \(nobody\) could not be found"),
    "half a pair": ({"AWS_SECRET_ACCESS_KEY": ""}, CREDENTIALS, "missing: AWS_SECRET_ACCESS_KEY"),
    "broken file": ({"AWS_CONFIG_FILE": "broken"}, CONFIG, "Unable to parse config file: .*broken"),
    "helper fails": ({**NO_KEYS, "AWS_CONFIG_FILE": "failing"}, CREDENTIALS, "custom-process"),
    "helper prints": ({**NO_KEYS, "AWS_CONFIG_FILE": "printing"}, CREDENTIALS, "credential_process.*JSON"),
    "no helper": ({**NO_KEYS, "AWS_CONFIG_FILE": "absent"}, CREDENTIALS, "credential_process.*nonexistent"),
    "role of nobody": ({**NO_KEYS, "AWS_PROFILE": "role", "AWS_CONFIG_FILE": "role"}, CONFIG, "nowhere"),
    "region in quotes": ({"AWS_REGION": '"us-east-1"'}, CONFIG, "AWS_REGION has quotes"),
    "region with a blank": ({"AWS_REGION": "us east 1"}, CONFIG, "AWS_REGION: .*not a region"),
    "region with CR": ({"AWS_REGION": "us-east-1\r"}, CONFIG, "AWS_REGION ends with a carriage return"),
    "endpoint": ({"AWS_ENDPOINT_URL": "127.0.0.1:9"}, CONFIG, "AWS_ENDPOINT_URL: .*not an endpoint"),
    "certificates": ({"AWS_CA_BUNDLE": "/nonexistent.pem"}, CONFIG, "AWS_CA_BUNDLE .*/nonexistent.pem"),
}
FILES = {
    "broken": "[default]\nregion = us-east-1\n[[broken\n",
    "failing": "[default]\ncredential_process = /bin/false\n",
    "printing": "[default]\ncredential_process = /bin/echo no json\n",
    "absent": "[default]\ncredential_process = /nonexistent/helper\n",
    "role": "[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = nowhere\n",
}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_MAX_PAUSE_SECONDS", 0.1)


def environ_of(changes: dict[str, str], folder: Path) -> dict[str, str]:
    """The settings with a fault, whose files of AWS are made."""
    changes = dict(changes)
    if name := changes.get("AWS_CONFIG_FILE"):
        (folder / name).write_text(FILES[name])
        changes["AWS_CONFIG_FILE"] = str(folder / name)
    return {**SETTINGS, "AWS_CONFIG_FILE": "/nonexistent", **changes}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_daemon_ends_by_the_code_of_the_fault_and_says_so_in_lines_of_json(
    fault: str, tmp_path: Path
) -> None:
    changes, code, sentence = FAULTS[fault]
    ended = run_here("train-worker", environ=environ_of(changes, tmp_path))
    assert ended.code == code, ended.stderr
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert lines[-1]["event"] == "worker ends"
    assert re.search(sentence, lines[-1]["error"]), lines[-1]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("train-worker",), "broken file"),
        (("export-worker",), "unknown profile"),
        (("jobs",), "helper prints"),
        (("bundle", "inspect", "s3://bucket/x/"), "unknown profile"),
    ],
)
def test_so_it_is_with_processes(arguments: tuple[str, ...], fault: str, tmp_path: Path) -> None:
    changes, code, sentence = FAULTS[fault]
    ended = run_command(*arguments, environ=environ_of(changes, tmp_path))
    assert ended.code == code, ended.errors
    assert len(ended.lines) == 1
    assert re.search(sentence, ended.errors), ended.errors


@pytest.mark.parametrize("arguments", [("jobs",), ("history",), ("bundle", "inspect", "s3://bucket/x/")])
@pytest.mark.parametrize("fault", ["unknown profile", "half a pair", "broken file", "region with CR"])
def test_a_command_ends_by_the_same_code_with_one_sentence(
    fault: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    changes, code, sentence = FAULTS[fault]
    ended = run_here(*arguments, environ=environ_of(changes, tmp_path))
    assert ended.code == code, ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert re.search(sentence, ended.stderr), ended.stderr


def signed_out(home: Path) -> dict[str, str]:
    """The environment of a person whose SSO session has ended."""
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {
        "accessToken": "old",
        "expiresAt": "2020-01-01T00:00:00Z",
        "startUrl": "https://x.awsapps.com/start",
    }
    (cache / f"{hashlib.sha1(b'session').hexdigest()}.json").write_text(json.dumps(token))  # noqa: S324
    (home / ".aws" / "config").write_text(
        "[profile sso]\nsso_session = session\nsso_account_id = 123456789012\nsso_role_name = worker\n"
        "[sso-session session]\nsso_region = us-east-1\nsso_start_url = https://x.awsapps.com/start\n"
    )
    return {"HOME": str(home), "AWS_PROFILE": "sso", "AWS_CONFIG_FILE": str(home / ".aws" / "config")}


def test_a_command_with_an_sso_session_that_has_ended_says_so(tmp_path: Path) -> None:
    ended = run_command("jobs", environ={**SETTINGS, **NO_KEYS, **signed_out(tmp_path)})
    assert ended.code == CREDENTIALS, ended.errors
    assert "Token has expired" in "".join(ended.lines)
    assert len(ended.lines) == 1


async def test_a_daemon_whose_sso_session_has_ended_ends_by_77_after_ten_tries_in_lines_of_json(
    stack: LocalStack,
    tmp_path: Path,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {**NO_KEYS, **signed_out(tmp_path)}.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    configure_logging()
    settings = stack.settings.model_copy(update={"run_dir": run_dir})
    assert await daemon.run_daemon("train", settings, once=True) == CREDENTIALS
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1]["error_class"] == "CredentialsMissing"
    assert sum(line["event"] == "probe failed" for line in lines) == loop.FAILED_RECEIVES
    assert {line["level"] for line in lines} <= {"warning", "error", "info"}


@pytest.mark.parametrize(
    ("fault", "kind"), [("unknown profile", CredentialsError), ("broken file", InvalidSetting)]
)
def test_the_client_for_threads_is_not_made_either(
    fault: str, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ_of(FAULTS[fault][0], tmp_path).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(kind, match=FAULTS[fault][2]):
        DynamoClient("table")
    if kind is InvalidSetting:
        with pytest.raises(SetupError, match=FAULTS[fault][2]):
            S3Store(["bucket"]).read("s3://bucket/k")


@pytest.mark.parametrize(
    "name",
    [
        "train-²³.sock",
        "export-٣.sock",
        "train-.sock",
        "train-99999999999999999999.sock",
        "train-9999999999.sock",
    ],
)
def test_an_odd_file_in_the_run_folder_disturbs_no_daemon(name: str, run_dir: Path) -> None:
    (run_dir / name).touch()
    environ: dict[str, Any] = {**SETTINGS, "LAYOUTLM_RUN_DIR": str(run_dir), "AWS_PROFILE": "nobody"}
    ended = run_here("train-worker", environ=environ)
    assert ended.code == CREDENTIALS, ended.stderr  # it got past the folder
    assert run_here("worker-status", environ=environ).code == 3


def test_a_helper_that_fails_at_first_is_asked_again(
    stack: LocalStack, tmp_path: Path, run_dir: Path
) -> None:
    helper, tries = tmp_path / "helper", tmp_path / "tries"
    given = json.dumps({"Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test"})
    helper.write_text(
        f"#!/bin/sh\necho x >> {tries}\n[ $(wc -l < {tries}) -gt 3 ] || exit 1\necho '{given}'\n"
    )
    helper.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {helper}\n")
    environ = {**stack.environ, **NO_KEYS, "AWS_CONFIG_FILE": str(config), "LAYOUTLM_RUN_DIR": str(run_dir)}
    ended = run_here("train-worker", "--once", environ={**environ, "LAYOUTLM_POLL_SECONDS": "0"})
    assert ended.code == 0, ended.stderr
    events = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    assert events.count("search for credentials failed") == 3


def test_a_metadata_service_that_fails_at_first_gives_the_role_later(
    stack: LocalStack, run_dir: Path
) -> None:
    role = {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "test", "SecretAccessKey": "test"}
    with fake_imds() as imds:
        imds.broken = True
        imds.values["iam/security-credentials/"] = "worker"
        imds.values["iam/security-credentials/worker"] = json.dumps(
            {**role, "Token": "t", "LastUpdated": moment(0), "Expiration": moment(20_000)}
        )
        environ = {
            **stack.environ,
            **NO_KEYS,
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
            "LAYOUTLM_RUN_DIR": str(run_dir),
            "LAYOUTLM_POLL_SECONDS": "0",
        }
        threading.Timer(1.5, lambda: setattr(imds, "broken", False)).start()
        ended = run_here("train-worker", "--once", environ=environ)
    assert ended.code == 0, ended.stderr
    events = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    assert "search for credentials failed" in events
    assert "worker ready" in events


def test_a_host_without_any_credentials_is_told_so_at_once(run_dir: Path) -> None:
    environ = {**SETTINGS, **NO_KEYS, "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    ended = run_here("train-worker", environ={**environ, "LAYOUTLM_RUN_DIR": str(run_dir)})
    assert ended.code == CREDENTIALS
    assert "failed" not in [json.loads(line)["event"] for line in ended.stderr.splitlines()]
