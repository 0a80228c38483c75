"""Commands that read or write a file of the person's: missing, a folder, Windows-1252, empty, marked."""

from __future__ import annotations

import json
import socket
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from receipt_dynamo import DynamoClient
from tests.conftest import CASES
from tests.support.commands import Ended, run_here
from workers.local_aws.local_stack import LocalStack

needs_cases = pytest.mark.skipif(not CASES.exists(), reason="the cases are not beside the repository")
NOWHERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "DYNAMO_TABLE_NAME": "nowhere"}
READING: dict[str, Callable[[str], tuple[str, ...]]] = {
    "import sroie": lambda path: ("import", "sroie", path),
    "bench train": lambda path: ("bench", "train", "--data", path),
    "demo": lambda path: ("demo", "--data", path),
    "infer": lambda path: ("infer", path, "--checkpoint", "/nowhere"),
    "dlq redrive": lambda path: ("dlq", "redrive", "some-id", "--body", path),
    "sweep propose": lambda path: ("sweep", "propose", "s", "--space", path),
}
"""Commands that read a text file. `local up --import` runs `import sroie`."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path a socket's name fits into."""
    with tempfile.TemporaryDirectory(prefix="files-") as name:
        yield Path(name)


def cli(stack: LocalStack | None, *arguments: str) -> Ended:
    """A command; without a stack, one that must not get as far as AWS."""
    settings = stack.environ if stack else NOWHERE
    return run_here(*arguments, environ={**settings, "COLUMNS": "300"})


def spoil(path: Path, how: str) -> Path:
    """A path that is wrong in one way."""
    match how:
        case "a folder":
            path.mkdir()
        case "unreadable":  # for root as well: a socket cannot be opened
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        case "cp1252":
            path.write_bytes('{"word": "café"}\n'.encode("cp1252"))
        case "UTF-16":
            path.write_bytes('{"a": 1}'.encode("utf-16"))
        case "empty":
            path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "cannot be read (No such file or directory)"),
        ("a folder", "cannot be read (Is a directory)"),
        ("unreadable", "cannot be read (No such device or address)"),
        ("cp1252", "is not UTF-8; the file may be in Windows-1252"),
        ("UTF-16", "is text in UTF-16. Save it as UTF-8"),
        ("empty", "is empty"),
    ],
)
@pytest.mark.parametrize("command", READING)
def test_a_file_that_is_no_text_is_one_sentence(folder: Path, command: str, how: str, says: str) -> None:
    path = spoil(folder / "given", how)
    ended = cli(None, *READING[command](str(path)))
    if command == "sweep propose" and how == "missing":  # a space may stand on the command line as well
        says = "or name a JSON file"
    assert ended.code == 65, ended
    [line] = ended.said
    assert line.startswith("error: ")
    assert says in line
    assert str(path) in line or path.name in line


@needs_cases
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cp1252.jsonl", "cp1252.jsonl, line 1: byte 0xc9 is not UTF-8"),
        ("nan_box.jsonl", "nan_box.jsonl, line 1: "),
        ("empty_file.jsonl", "empty_file.jsonl is empty"),
    ],
)
def test_a_reported_file_is_refused_with_its_line_and_nothing_is_written(
    stack: LocalStack, client: DynamoClient, name: str, says: str
) -> None:
    ended = cli(stack, "import", "sroie", str(CASES / "sroie" / name))
    assert ended.code == 65
    assert says in ended.said[-1]
    assert client.count_receipts() == 0


@needs_cases
def test_a_byte_order_mark_before_receipts_is_read_over(stack: LocalStack, client: DynamoClient) -> None:
    ended = cli(stack, "import", "sroie", str(CASES / "sroie" / "bom.jsonl"))
    assert ended.code == 0, ended
    assert client.count_receipts() == 1


@needs_cases
def test_a_byte_order_mark_before_a_receipt_to_infer_is_read_over() -> None:
    ended = cli(None, "infer", str(CASES / "bodies" / "bom.json"), "--checkpoint", "/nowhere")
    assert ended.code == 65
    assert "/nowhere" in ended.said[-1]  # the receipt was read, and the checkpoint came next


def test_a_byte_order_mark_before_a_space_and_a_mended_body_is_read_over(
    stack: LocalStack, folder: Path
) -> None:
    space, body = folder / "space.json", folder / "body.json"
    space.write_bytes(b"\xef\xbb\xbf" + json.dumps({"batch_size": [4, 8]}).encode())
    body.write_bytes(b"\xef\xbb\xbf" + b'{"job_name": "a"}')
    ended = cli(stack, "sweep", "propose", "s", "--space", str(space), "--method", "grid")
    assert ended.code == 0, ended
    assert "2 runs that --submit would send" in ended.stdout
    ended = cli(stack, "dlq", "redrive", "some-id", "--body", str(body))
    assert ended.code == 75
    assert "some-id" in ended.said[-1]  # the body was read, and the letter is looked for


WRITING: dict[str, Callable[[str], tuple[str, ...]]] = {
    "eval-checkpoints": lambda path: ("eval-checkpoints", "nobody", "--output", path),
    "validate-coreml": lambda path: ("validate-coreml", "/nowhere", "/nowhere", "--output-json", path),
    "infer": lambda path: ("infer", "x.json", "--checkpoint", "/nowhere", "--draw", path),
}
"""Commands that work for minutes before they write a file."""


@pytest.mark.parametrize("command", WRITING)
@pytest.mark.parametrize(
    ("below", "says"), [("missing/out.png", "its folder is not there"), ("", "it is a folder")]
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    folder: Path, command: str, below: str, says: str
) -> None:
    target = folder / "out.png"
    if below:
        target = folder / below
    else:
        target.mkdir()
    ended = cli(None, *WRITING[command](str(target)))
    assert ended.code == 78, ended
    [line] = ended.said
    assert f"{target} cannot be written: {says}" in line


def test_an_agent_folder_below_a_file_is_one_sentence(stack: LocalStack, folder: Path) -> None:
    (folder / "file").write_text("x")
    ended = cli(stack, "agent-context", str(folder / "file" / "below"))
    assert ended.code == 78, ended
    assert "cannot be written: Not a directory" in ended.said[-1]


def encrypted(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "{}")
    body = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(mark) + flags] |= 1
    path.write_bytes(body)


def below_a_file(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "{}")
        archive.writestr("manifest.json/deeper.json", "{}")


def too_long(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x" * 300, "{}")


def damaged(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", "{}" * 500)
    body = bytearray(path.read_bytes())
    body[43:50] = b"\xff" * 7
    path.write_bytes(body)


def no_zip(path: Path) -> None:
    path.write_text("PK no zip")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (encrypted, "is encrypted. Pack the bundle without a password"),
        (below_a_file, "'manifest.json/deeper.json' below a file"),
        (too_long, "cannot be unpacked: [Errno 36] File name too long"),
        (damaged, "is no zip that can be read"),
        (no_zip, "is no zip that can be read"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "diff"])
def test_a_zip_that_cannot_be_unpacked_is_one_sentence(
    folder: Path, make: Callable[[Path], None], says: str, command: str
) -> None:
    path = folder / "bundle.zip"
    make(path)
    ended = cli(None, "bundle", command, *[str(path)] * (1 if command == "inspect" else 2))
    assert ended.code == 65, ended
    [line] = ended.said
    assert line.startswith("error: bundle.zip ")
    assert says in line
