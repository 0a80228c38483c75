"""Every command of docs/operations.md and docs/runbook.md that can run here is run, as it is printed.

Names that stand for something (`my-run`, ID, IMAGE_ID) are replaced by what the stage has.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from receipt_dynamo import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from workers.local_aws.local_stack import LocalStack, MotoServer

ROOT = Path(__file__).parent.parent.parent
PAGES = ("operations.md", "runbook.md")
ELSEWHERE = {
    "make install": "it has run before any test",
    ".venv/bin/python infra/build.py": "it fetches wheels for another machine; tests/infra has its parts",
    "cd infra": "of the commands below it",
    "pulumi": "there is no Pulumi engine here",
    "aws lambda": "tests/integration/lambdas runs the functions",
    "aws sts": "asks an account",
    "aws service-quotas": "asks an account",
    "layoutlm-cli export-worker": "test_whole_path.py runs it until SIGTERM",
    "pip install": "`make install` installs the same package; the index here has no release of it",
    "systemd/install.sh": "`make boot` runs it in a container",
    "systemctl": "`make boot` runs it in a container",
    "journalctl": "`make boot` runs it in a container",
    "make boot": "tests/boot",
    "python3 verify_on_mac.py": "CoreML predicts on a Mac only; its own test runs it up to there",
    "aws autoscaling": "there is no fleet here",
    "aws logs": "there is no CloudWatch here",
    "launchctl": "there is no launchd here",
    "pmset": "a Mac's",
    "aws sso": "there is nobody to log in as",
    "dlq show": "as `layoutlm-cli dlq show`",
    "dlq redrive": "as `layoutlm-cli dlq redrive`",
    "dlq discard": "as `layoutlm-cli dlq discard`",
}
"""Beginnings of commands that cannot run here, and why."""
CODES = {
    "layoutlm-cli launchd install": 78,
    "layoutlm-cli launchd uninstall": 78,
    "layoutlm-cli launchd status": 78,
    "layoutlm-cli worker-status": 3,
}
"""Exit codes other than 0: no launchd, no worker."""
PROFILE = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "me"}
"""Of whoever installs an agent: keys are refused there."""
SMALLER = {
    "layoutlm-cli bench train": "--model scratch:tiny --steps 1 --rounds 1",
    "layoutlm-cli train NAME": "--pretrained-model scratch:tiny --epochs 1",
}
"""Options that let a command run here in seconds, without a hub."""


def blocks(text: str) -> list[str]:
    """What stands in fenced blocks of shell commands."""
    found: list[list[str]] = []
    language: str | None = None
    for line in text.splitlines():
        if line.startswith("```"):
            language = None if language is not None else line.removeprefix("```") or "sh"
            found.append([])
        elif language == "sh":
            found[-1].append(line)
    return ["\n".join(lines) for lines in found]


def documented() -> list[str]:
    """The commands of fenced blocks, then those within sentences, without comments, each once."""
    found = []
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for block in blocks(text):
            lines = block.replace("\\\n", " ").splitlines()
            found += [re.split(r"\s+#", line)[0].strip() for line in lines]
        found += re.findall(r"`((?:layoutlm-cli|dlq|aws|pulumi|systemctl|launchctl|pmset) [^`]+)`", text)
    commands = [one for one in found if one and not re.match(r'[{}"\[]', one)]
    return list(dict.fromkeys(commands))


def runs_here(command: str) -> bool:
    return not any(command.startswith(beginning) for beginning in ELSEWHERE)


def test_every_documented_command_is_run_here_or_it_is_known_why_not() -> None:
    commands = documented()
    assert len(commands) > 30
    for command in filter(runs_here, commands):
        assert command.startswith(("layoutlm-cli ", "aws s3 cp")), command
    for beginning in ELSEWHERE:
        assert any(beginning in command for command in commands), beginning


@dataclass
class Stage:
    """A stack in which a run was trained and exported, two messages are dead, and a folder to work in."""

    stack: LocalStack
    folder: Path
    names: dict[str, str]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        words = [self.replaced(word) for word in shlex.split(f"{command} {SMALLER.get(command, '')}")]
        return subprocess.run(
            words,
            cwd=self.folder,
            env=self.environ | (PROFILE if "launchd" in command else {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            input="y\n",
        )

    @property
    def environ(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {"HOME": str(self.folder), "LAYOUTLM_RUN_DIR": str(self.folder / "r"), "BROWSER": "true"}
        small = {"LAYOUTLM_POLL_SECONDS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        return self.stack.child_environ(PATH=path, **own, **small)

    def replaced(self, word: str) -> str:
        for name, value in self.names.items():
            end = "" if name.endswith("/") else r"(?![A-Za-z_-])"
            word = re.sub(rf"(?<![A-Za-z_-]){re.escape(name)}{end}", value, word)
        return word


@pytest.fixture(scope="module")
def stage(emulator: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    stack = LocalStack.make(emulator, suffix="-operations")
    folder = tmp_path_factory.mktemp("operations")
    (folder / "r").mkdir()
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(client, synthetic.generate(24, 5))
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    made = Stage(stack, folder, {"s3://bucket/": f"s3://{bucket}/", "$LAYOUTLM_TRAINING_BUCKET": bucket})
    options = "--pretrained-model scratch:tiny --epochs 1 --learning-rate 1e-3 --no-frozen-val true"
    for command in (f"layoutlm-cli train my-run {options}", "layoutlm-cli export-worker --once"):
        done = made.run(command)
        assert done.returncode == 0, done.stderr[-3000:]
    fetch(stack, folder)
    keep_a_replaced_bundle(stack)
    bury(made, 4)
    image = min(key.image_id for key in client.list_receipt_keys().items)
    made.names |= {"IMAGE_ID": image, "RECEIPT_ID": "1", "JOB": "my-run", "ETAG": "older"}
    made.names["layoutlm-first"] = "my-run"
    made.names |= {"CHECKPOINT": "runs/best", "A": "bundle.zip", "B": "bundle.zip", "BUNDLE": "bundle.zip"}
    return made


def fetch(stack: LocalStack, folder: Path) -> None:
    """The best checkpoint, the bundle, a receipt and a mended body, as files."""
    bucket, s3 = stack.environ["LAYOUTLM_TRAINING_BUCKET"], stack.client("s3")
    (folder / "runs" / "best").mkdir(parents=True)
    for entry in s3.list_objects_v2(Bucket=bucket, Prefix="runs/my-run/best/")["Contents"]:
        s3.download_file(bucket, entry["Key"], str(folder / "runs" / "best" / Path(entry["Key"]).name))
    s3.download_file(bucket, "coreml/layoutlm-coreml-bundle.zip", str(folder / "bundle.zip"))
    assert zipfile.is_zipfile(folder / "bundle.zip")
    words = [{"text": "TOTAL", "box": [0.1, 0.1, 0.3, 0.2]}, {"text": "9.50", "box": [0.6, 0.1, 0.8, 0.2]}]
    (folder / "receipt.json").write_text(json.dumps({"words": words}))
    body = {"job_name": "mended", "hyperparameters": {"pretrained_model": "scratch:tiny"}}
    (folder / "mended.json").write_text(json.dumps(body))


def keep_a_replaced_bundle(stack: LocalStack) -> None:
    """What a later export leaves of the zip that it replaces."""
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    source = {"Bucket": bucket, "Key": "coreml/layoutlm-coreml-bundle.zip"}
    stack.client("s3").copy_object(
        Bucket=bucket, Key="coreml/layoutlm-coreml-bundle/older.zip", CopySource=source
    )


def bury(stage: Stage, count: int) -> None:
    """Let a worker bury messages that nobody can read."""
    sqs, url = stage.stack.client("sqs"), stage.stack.environ["TRAIN_JOB_QUEUE_URL"]
    for _ in range(count):
        sqs.send_message(QueueUrl=url, MessageBody='{"job_name": "x", "hyperparameters": {"epochs": "many"}}')
        assert stage.run("layoutlm-cli train-worker --once").returncode == 0


def letters(stage: Stage) -> list[str]:
    said = stage.run("layoutlm-cli dlq list --json").stdout
    return [json.loads(line)["id"] for line in said.splitlines()]


@pytest.fixture
def letter(stage: Stage) -> None:
    """A dead letter for whatever asks for one by its ID."""
    if not letters(stage):
        bury(stage, 2)
    stage.names["ID"] = letters(stage)[0]


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.usefixtures("letter")
@pytest.mark.parametrize(
    "command", [one for one in documented() if runs_here(one) and one != "layoutlm-cli train-worker"]
)
def test_it_works_as_printed(stage: Stage, command: str) -> None:
    if command.startswith("layoutlm-cli export-coreml"):
        shutil.rmtree(stage.folder / "out", ignore_errors=True)
    done = stage.run(command)
    assert done.returncode == CODES.get(command, 0), (done.stdout[-2000:], done.stderr[-2000:])
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.e2e
def test_a_worker_runs_until_sigterm(stage: Stage) -> None:
    log = stage.folder / "worker.log"
    with log.open("wb") as lines:
        process = subprocess.Popen(
            ["layoutlm-cli", "train-worker"],  # found on the stage's PATH
            executable=str(Path(sys.executable).parent / "layoutlm-cli"),
            env=stage.environ,
            stderr=lines,
        )
    deadline = time.monotonic() + 60
    while "worker ready" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    healthy = stage.run("layoutlm-cli worker-status")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert healthy.returncode == 0
