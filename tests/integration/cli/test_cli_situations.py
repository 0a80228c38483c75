"""Every command of the command line with nothing there, a wrong name, no network, no permission, no client.

A command without a row below fails the first test, so a new one is walked as well.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from layoutlm_cli.main import app
from tests.support.commands import Ended, run_here
from tests.support.situations import closed_endpoint, denying_endpoint, environ_at, retry_at_once
from workers.local_aws.local_stack import LocalStack, MotoServer

LONGEST_SECONDS = 60
"""On a loaded machine; a command that waits for an answer that never comes takes minutes."""
RECEIPT = "3f52804b-2fad-4e00-92c8-b593da3a8ed3"
SPACE = ("--space", "batch_size=4|8", "--method", "grid")
S3 = "s3://{bucket}/nothing/"


@dataclass(frozen=True, slots=True)
class Row:
    """What a command is given, and how it has to end.

    Attributes:
        bare: arguments where nothing is there; {bucket}, {folder} and {file} are filled in.
        nothing: its exit code then.
        wrong: arguments with a wrong name; None where it takes no name.
        unknown: its exit code then.
        offline: its exit code where there is no network, and `denied` where everything is forbidden.
        writes: whether it leaves something that another row would find.
    """

    bare: tuple[str, ...] = ()
    nothing: int = 0
    wrong: tuple[str, ...] | None = None
    unknown: int = 75
    offline: int = 75
    denied: int = 77
    writes: bool = False


NAMED = Row(("nobody",), 75, ("nobody",))
ROWS: dict[str, Row] = {
    "advise": Row(wrong=("--job", "nobody")),
    "agent-context": Row(("{folder}/context",)),
    "bundle diff": Row((S3, S3), 65, ("/nobody.zip", "/nobody.zip"), 65, denied=78),
    "bundle inspect": Row((S3,), 65, ("/nobody.zip",), 65, denied=78),
    "cancel": NAMED,
    "compare": Row(("--group-by", "batch_size"), 0, ("nobody", "noone")),
    "diagnose-run": NAMED,
    "dlq discard": Row(("--all", "--queue", "train"), 0, ("nobody", "--yes")),
    "dlq list": Row(),
    "dlq redrive": Row(("--all", "--queue", "train"), 0, ("nobody",)),
    "dlq show": NAMED,
    "eval-checkpoints": NAMED,
    "export-coreml": Row((S3, "{folder}/out"), 65, ("/nobody", "{folder}/out"), 65, denied=78),
    "export-worker": Row(("--once",), 0, offline=69),
    "findings": NAMED,
    "generate": Row(("--receipts", "1"), writes=True),
    "history": Row(),
    "import sroie": Row(("{file}",), 0, ("/nobody.jsonl",), 65, writes=True),
    "infer": Row((RECEIPT, "1", "--job", "nobody"), 75, ("{receipt}", "--job", "nobody")),
    "jobs": Row(),
    "monitor": Row(),
    "recover": Row(),
    "report": NAMED,
    "results": Row(("train", "--wait", "0")),
    "stats": Row(),
    "status": NAMED,
    "submit export": NAMED,
    "submit train": Row(("some-run",), 0, ("../up",), 65, writes=True),
    "sweep more": Row(("nobody", "1"), 65, ("nobody", "1", "--storage", "{folder}"), 65, 65, 65),
    "sweep propose": Row(("s", *SPACE), 0, ("../up", *SPACE), 65),
    "sweep status": Row(("nobody",), 65, ("nobody", "--storage", "{folder}"), 65, 65, 65),
    "train": Row(("some-run", "--pretrained-model", "scratch:tiny"), 65, ("../up",), 65, writes=True),
    "train-worker": Row(("--once",), 0, offline=69),
    "validate-coreml": Row(("/nobody", S3), 65, ("/nobody", "/nobody.zip"), 65, denied=78),
    "watch": NAMED,
}
APART = {
    "bench train": "it asks AWS nothing, and its file is walked in test_cli_files",
    "dashboard": "its pages are walked in test_web_situations",
    "demo": "it brings an AWS of its own",
    "local up": "it is an AWS",
    "mcp": "its tools are walked in test_assistant_situations",
    "worker-status": "it asks this host only, see test_commands_that_ask_no_aws",
    "launchd install": "it asks launchd only, see test_commands_that_ask_no_aws",
    "launchd print": "it asks launchd only",
    "launchd status": "it asks launchd only, see test_commands_that_ask_no_aws",
    "launchd uninstall": "it asks launchd only, see test_commands_that_ask_no_aws",
}


def commands_of(command: Any, path: str = "") -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands_of(inner, f"{path} {name}".strip())
    else:
        yield path


def test_every_command_has_a_row() -> None:
    assert set(commands_of(typer.main.get_command(app))) == ROWS.keys() | APART.keys()


@pytest.fixture(scope="module")
def stack(emulator: MotoServer) -> LocalStack:
    return LocalStack.make(emulator, suffix="-situations")


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_dir: Path) -> dict[str, str]:
    """What arguments may name, in a folder of its own; retries without pauses."""
    retry_at_once(monkeypatch)
    monkeypatch.setattr("workers.runtime.loop.random.uniform", lambda *_: 0.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAYOUTLM_RUN_DIR", str(run_dir))
    monkeypatch.setenv("LAYOUTLM_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("LAYOUTLM_POLL_SECONDS", "0")
    receipts = tmp_path / "receipts.jsonl"
    receipts.write_text(
        '{"key": "k", "image_size": {"width": 9, "height": 9}, "entities": {}, "words": ["a"], '
        '"bboxes": [[1, 1, 2, 2]]}\n'
    )
    receipt = tmp_path / "receipt.json"
    receipt.write_text('{"words": [{"text": "a", "box": [0.1, 0.1, 0.2, 0.2]}]}')
    return {"folder": str(tmp_path), "file": str(receipts), "receipt": str(receipt)}


def walk(
    name: str, arguments: tuple[str, ...], environ: Mapping[str, str], names: Mapping[str, str]
) -> Ended:
    filled = [one.format(bucket=environ["LAYOUTLM_TRAINING_BUCKET"], **names) for one in arguments]
    began = time.monotonic()
    ended = run_here(*name.split(), *filled, environ=environ)
    assert time.monotonic() - began < LONGEST_SECONDS
    assert "Traceback" not in ended.stderr
    return ended


def reason(ended: Ended, name: str) -> str:
    """The sentence that says why a command ended so."""
    if name.endswith("-worker"):  # its log tells, in JSON
        return ended.stderr.splitlines()[-1]
    assert ended.said, ended
    assert ended.said[-1].startswith("error: "), ended
    assert ended.said[-1].rstrip().endswith((".", "`")), ended.said[-1]
    return ended.said[-1]


@pytest.mark.parametrize("name", ROWS)
def test_nothing_there(
    stack: LocalStack, emulator: MotoServer, surroundings: dict[str, str], name: str
) -> None:
    row = ROWS[name]
    chosen = LocalStack.make(emulator, suffix=f"-{name.replace(' ', '-')}") if row.writes else stack
    ended = walk(name, row.bare, chosen.environ, surroundings)
    assert ended.code == row.nothing, ended
    if row.nothing:
        reason(ended, name)
    else:
        assert (ended.stdout + ended.stderr).strip()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.wrong])
def test_a_wrong_name(stack: LocalStack, surroundings: dict[str, str], name: str) -> None:
    row = ROWS[name]
    ended = walk(name, row.wrong or (), stack.environ, surroundings)
    assert ended.code == row.unknown, ended
    said = reason(ended, name)
    assert re.search(r"nobody|\.\./up|" + re.escape(surroundings["folder"]), said), said


@pytest.mark.parametrize("name", ROWS)
def test_no_network(stack: LocalStack, surroundings: dict[str, str], name: str) -> None:
    row = ROWS[name]
    with closed_endpoint() as endpoint_url:
        ended = walk(name, row.bare, environ_at(stack, endpoint_url), surroundings)
        assert ended.code == row.offline, ended
        if row.offline != 65:
            assert endpoint_url in reason(ended, name)


@pytest.mark.parametrize("name", ROWS)
def test_no_permission(stack: LocalStack, surroundings: dict[str, str], name: str) -> None:
    row = ROWS[name]
    with denying_endpoint() as endpoint_url:
        ended = walk(name, row.bare, environ_at(stack, endpoint_url), surroundings)
        assert ended.code == row.denied, ended
        if row.denied != 65:
            assert re.search("AccessDenied|denies|refuses", reason(ended, name))


@pytest.mark.parametrize("name", ROWS)
def test_no_client_of_aws_can_be_made(stack: LocalStack, surroundings: dict[str, str], name: str) -> None:
    broken = Path(surroundings["folder"]) / "config"
    broken.write_text("[[broken")
    for variable, value, code in (("AWS_PROFILE", "nobody", 77), ("AWS_CONFIG_FILE", str(broken), 78)):
        ended = walk(name, ROWS[name].bare, {**stack.environ, variable: value}, surroundings)
        if ROWS[name].denied == 65:  # it asks AWS nothing
            assert ended.code == 65, ended
        else:
            assert ended.code == code, ended
            assert value in reason(ended, name)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("worker-status",), 3, "no worker runs on this host"),
        (("launchd", "status"), 78, "macOS"),
        (("launchd", "install"), 78, "must not lie in a file"),
        (("launchd", "uninstall"), 78, "macOS"),
        (("launchd", "print"), 78, "must not lie in a file"),
    ],
)
def test_commands_that_ask_no_aws(
    surroundings: dict[str, str], stack: LocalStack, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ended = run_here(*arguments, environ=stack.environ)
    assert ended.code == code, ended
    assert says in ended.stderr
