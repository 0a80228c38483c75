"""The child's side of the pipe: a job file in, report lines and an exit code out."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from messages.child_protocol import ChildExit, ErrorClass, Failure, Progress, TrainTask, parse_report
from messages.train import TrainJob
from receipt_dynamo import errors as dynamo
from run_records.errors import CheckpointError, DataError
from run_records.job_process.child_main import Reporter, classify

CODE = """
import sys
from messages.child_protocol import TrainTask
from receipt_dynamo import session
from run_records.job_process.child_main import Stopped, run_child
from run_records.errors import DataError

def work(task, reporter, stop):
    print("a library prints")
    reporter.progress("training", epoch=1.0)
    raise {error}

sys.exit(run_child(TrainTask, work, sys.argv[1:]))
"""


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    job = TrainJob.model_validate({"job_id": "49a5ce3b-4653-4aad-95da-11c9a7345b85", "job_name": "a"})
    task = TrainTask(
        job=job,
        attempt=1,
        table_name="t",
        run_s3_uri="s3://b/r/",
        allowed_buckets=("b",),
        work_dir=str(tmp_path),
    )
    path = tmp_path / "job.json"
    path.write_text(task.model_dump_json(), encoding="utf-8")
    return path


def run(error: str, job_file: Path) -> subprocess.CompletedProcess[str]:
    # An open pipe for standard input, as a daemon gives it; its end would end the child.
    read_end, write_end = os.pipe()
    try:
        return subprocess.run(
            [sys.executable, "-c", CODE.replace("{error}", error), str(job_file)],
            stdin=read_end,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.parametrize(
    ("error", "code", "error_class"),
    [
        ("DataError('no labels')", ChildExit.PERMANENT, ErrorClass.DATA),
        ("OSError(28, 'No space left on device')", ChildExit.RETRY, ErrorClass.DISK),
        ("RuntimeError('a defect')", ChildExit.RETRY, ErrorClass.CRASHED),
    ],
)
def test_a_failure_is_the_last_report_and_the_exit_code(
    job_file: Path, error: str, code: ChildExit, error_class: ErrorClass
) -> None:
    answer = run(error, job_file)
    reports = [parse_report(line) for line in answer.stdout.splitlines()]
    assert isinstance(reports[0], Progress)
    assert isinstance(reports[-1], Failure)
    assert (answer.returncode, reports[-1].error_class) == (code, error_class)
    assert "a library prints" in answer.stderr
    assert "a library prints" not in answer.stdout


def test_leaving_at_a_checkpoint_is_an_exit_of_its_own(job_file: Path) -> None:
    assert run("Stopped()", job_file).returncode == ChildExit.STOPPED


def test_a_person_at_a_terminal_needs_no_lease(job_file: Path) -> None:
    ours, theirs = os.openpty()
    try:
        os.write(ours, b"no lease\n")
        answer = subprocess.run(
            [sys.executable, "-c", CODE.replace("{error}", "session._check() or Stopped()"), str(job_file)],
            stdin=theirs,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert answer.returncode == ChildExit.STOPPED


@pytest.mark.parametrize(
    ("body", "error_class", "says"),
    [
        (None, ErrorClass.DISK, "something has removed or changed the work folder"),
        (
            "{}",
            ErrorClass.CRASHED,
            "is no job file of this version (job: Field required). Start the worker again",
        ),
        ("{", ErrorClass.CRASHED, "is no job file of this version (: Invalid JSON"),
    ],
)
def test_a_job_file_that_cannot_be_read_is_named_with_what_to_do(
    tmp_path: Path, body: str | None, error_class: ErrorClass, says: str
) -> None:
    path = tmp_path / "work" / "job.json"
    if body is not None:
        path.parent.mkdir()
        path.write_text(body, encoding="utf-8")
    answer = run("Stopped()", path)
    last = parse_report(answer.stdout.splitlines()[-1])
    assert isinstance(last, Failure)
    assert (last.error_class, answer.returncode) == (error_class, ChildExit.RETRY)
    assert str(path) in last.message
    assert says in last.message


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (DataError("x"), ErrorClass.DATA),
        (CheckpointError("x"), ErrorClass.CHECKPOINT),
        (dynamo.Throttled("x"), ErrorClass.THROTTLED),
        (dynamo.NetworkError("x"), ErrorClass.NETWORK),
        (dynamo.TableMissing("x"), ErrorClass.SETUP),
        (dynamo.InvalidSetting("x"), ErrorClass.SETUP),
        (dynamo.Forbidden("x"), ErrorClass.SETUP),
        (dynamo.ClockError("x"), ErrorClass.CLOCK),
        (dynamo.CredentialsError("x"), ErrorClass.CREDENTIALS),
        (MemoryError(), ErrorClass.MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ErrorClass.MEMORY),
        (OSError(errno.EDQUOT, "quota"), ErrorClass.DISK),
        (OSError(errno.EIO, "io"), ErrorClass.CRASHED),
    ],
)
def test_an_error_has_its_class(error: Exception, error_class: ErrorClass) -> None:
    assert classify(error)[0] is error_class


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has ..."),
            r"accelerator's memory is full \(CUDA out of memory\. Tried to allocate 20\.00 MiB\.\)\. Use a ",
        ),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
            r"host's memory is full .* Use a host with more memory",
        ),
        (MemoryError(), r"host's memory is full \(MemoryError\)"),
    ],
)
def test_a_shortage_of_memory_says_whose_and_what_to_do(error: Exception, sentence: str) -> None:
    error_class, message = classify(error)
    assert error_class is ErrorClass.MEMORY
    assert re.search(sentence, message)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("cause", "error_class"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ErrorClass.DISK),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ErrorClass.MEMORY),
        (RuntimeError("size mismatch"), ErrorClass.CHECKPOINT),
    ],
)
def test_a_shortage_is_not_blamed_on_the_file_that_was_being_read(
    cause: Exception, error_class: ErrorClass
) -> None:
    error = CheckpointError("it cannot be loaded")
    error.__cause__ = cause
    assert classify(error)[0] is error_class


class GoneReader(io.StringIO):
    """The writing end of a pipe that nobody reads any more."""

    def write(self, _text: str, /) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_reporter_whose_daemon_is_gone_keeps_quiet() -> None:
    reporter = Reporter(GoneReader())
    reporter.progress("training")
    reporter.progress("training")
    Reporter(None).progress("training")


def test_what_is_no_report_is_none() -> None:
    assert parse_report("loading weights: 100%") is None
    assert parse_report('{"type": "surprise"}') is None
