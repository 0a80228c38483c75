"""A full disk is one kind of failure, whichever library met it and in whatever words it says so."""

from __future__ import annotations

import errno
import json
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from messages.child_protocol import ErrorClass
from run_records.error_causes import causes_of, find_full_disk
from run_records.errors import CheckpointError, DataError
from run_records.job_process.child_main import classify
from tests.support.small_files import run_with_small_files

# Each writes some megabytes into `folder`; the process that runs them can write half of one.
WRITERS = {
    "torch.save": "torch.save({'a': tensor}, str(folder / 'a'))",
    "torch.save to a stream": "torch.save({'a': tensor}, (folder / 'a').open('wb'))",
    "torch.save of the old form": "torch.save([tensor], folder / 'a', _use_new_zipfile_serialization=False)",
    "safetensors": "save_file({'a': tensor}, folder / 'a')",
    "Parquet": "pq.write_table(table, folder / 'a')",
    "Arrow": "feather.write_feather(table, str(folder / 'a'), compression='uncompressed')",
    "tokenizers": "tokenizer.save(str(folder / 'a'))",
    "zipfile": "zipfile.ZipFile(folder / 'a', 'w').writestr('x', noise)",
    "tempfile": "tempfile.TemporaryFile(dir=folder).write(noise)",
    "a loader that blames the file": "as_checkpoint_error(lambda: save_file({'a': tensor}, folder / 'a'))",
}
CODE = """
import json, os, sys, tempfile, zipfile
from pathlib import Path
import pyarrow as pa, pyarrow.feather as feather, pyarrow.parquet as pq, tokenizers, torch
from safetensors.torch import save_file
from run_records.job_process.child_main import classify
from run_records.errors import CheckpointError

folder, noise, tensor = Path(sys.argv[1]), os.urandom(3_000_000), torch.rand(800_000)
table = pa.table({"a": tensor.numpy()})
words = {f"word{number:030d}": number for number in range(80_000)}
tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(words, unk_token="word0"))

def as_checkpoint_error(write):
    try:
        write()
    except Exception as error:
        raise CheckpointError("it cannot be loaded") from error

found = {}
for name, code in json.loads(sys.argv[2]).items():
    try:
        exec(code)
        found[name] = "written"
    except BaseException as error:
        found[name] = classify(error)
print(json.dumps(found))
"""


def write_all(folder: Path, limit_bytes: int = resource.RLIM_INFINITY) -> dict[str, list[str]]:
    """What each writer's failure is judged as, in a process of its own."""
    answer = run_with_small_files(
        "-W", "ignore", "-c", CODE, str(folder), json.dumps(WRITERS), limit_bytes=limit_bytes
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    found: dict[str, list[str]] = json.loads(answer.stdout)
    return found


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of half a megabyte."""
    with tempfile.TemporaryDirectory(prefix="small-disk-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", name]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"a small file system needs the right to mount one: {mounted.stderr.strip()}")
        yield Path(name)
        subprocess.run(["umount", name], check=True)


def assert_all_are_disk(found: dict[str, list[str]]) -> None:
    assert found.keys() == WRITERS.keys()
    assert {name: judged[0] for name, judged in found.items()} == dict.fromkeys(WRITERS, ErrorClass.DISK)
    for _, sentence in found.values():
        assert sentence.startswith("The disk is full, or a quota or limit of files (")
        assert sentence.endswith("Free some space in the work directory.")
        assert "\n" not in sentence


def test_every_library_on_a_full_disk_is_a_full_disk(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(b"x" * 300_000)
    assert_all_are_disk(write_all(small_disk))


def test_every_library_at_a_limit_of_files_is_a_full_disk(tmp_path: Path) -> None:
    assert_all_are_disk(write_all(tmp_path, 500_000))


def test_a_full_disk_is_found_however_far_down_the_causes() -> None:
    closing = ValueError("closing failed")
    closing.__context__ = RuntimeError("basic_ios::clear: iostream error")
    error = DataError("the snapshot is damaged")
    error.__cause__ = closing
    assert [type(one) for one in causes_of(error)] == [DataError, ValueError, RuntimeError]
    assert classify(error)[0] is ErrorClass.DISK


def test_what_was_put_aside_on_purpose_is_no_cause() -> None:
    error = CheckpointError("vocab.txt has a blank line")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    error.__suppress_context__ = True  # what `raise ... from None` does
    assert classify(error)[0] is ErrorClass.CHECKPOINT


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("PytorchStreamReader failed reading zip archive: failed finding central directory"),
        RuntimeError("size mismatch for classifier.weight"),
        OSError(2, "No such file or directory", "No space left"),
        DataError("The receipt has the words 'no space left on device'."),
        ValueError("no space left between the words"),
    ],
)
def test_words_alone_make_no_full_disk(error: Exception) -> None:
    assert find_full_disk(error) is None


def test_an_error_that_is_its_own_context_ends() -> None:
    error = RuntimeError("a")
    error.__context__ = other = RuntimeError("b")
    other.__context__ = error
    assert find_full_disk(error) is None
