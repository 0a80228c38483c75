"""Commands that start processes and run until somebody ends them: either signal leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from receipt_dynamo.session import new_session

CLI = (sys.executable, "-m", "layoutlm_cli")
PATIENCE_SECONDS = 60
PROMPTLY_SECONDS = 4
"""Less than the emulator is given to end by itself; on an idle machine it takes half a second."""


@contextmanager
def in_the_background(*arguments: str, folder: Path) -> Iterator[psutil.Process]:
    """The command as a script starts it with `&`: bash without job control has it ignore SIGINT."""
    output = folder / "output"
    script = f'"$@" > {output} 2>&1 & echo $!; wait'
    shell = subprocess.Popen(
        ["bash", "-c", script, "bash", *CLI, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert shell.stdout is not None
    process = psutil.Process(int(shell.stdout.readline()))
    try:
        yield process
    finally:
        for one in processes_of(process):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        shell.wait(PATIENCE_SECONDS)
        shell.stdout.close()


def processes_of(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def workers_of(process: psutil.Process) -> set[str]:
    found: set[str] = set()
    for one in processes_of(process):
        with suppress(psutil.NoSuchProcess):
            found |= {word for word in one.cmdline() if word.endswith("-worker")}
    return found


def wait_until(condition: Callable[[], object], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, (folder / "output").read_text()
        time.sleep(0.05)


def is_ready(folder: Path) -> bool:
    return (folder / "output").exists() and "# ready" in (folder / "output").read_text()


def poll_for_long(folder: Path) -> None:
    """Have a request under way for as long as SQS allows."""
    lines = (folder / "output").read_text().splitlines()
    environ = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
    session = new_session()
    sqs = session.client("sqs", endpoint_url=environ["AWS_ENDPOINT_URL"])

    def poll() -> None:
        with suppress(Exception):  # whose server goes away
            sqs.receive_message(QueueUrl=environ["TRAIN_JOB_QUEUE_URL"], WaitTimeSeconds=20)

    threading.Thread(target=poll, daemon=True).start()
    time.sleep(0.5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_local_aws_that_a_script_has_started_ends_promptly_by_either_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    with in_the_background("local", "up", "--port", "0", folder=tmp_path) as process:
        wait_until(lambda: is_ready(tmp_path), tmp_path)
        poll_for_long(tmp_path)
        both = processes_of(process)
        assert len(both) == 2
        process.send_signal(number)
        _, left = psutil.wait_procs(both, PROMPTLY_SECONDS)
        assert left == []
    assert (tmp_path / "output").read_text().endswith("# ended\n")


def test_a_local_aws_that_is_ended_while_it_comes_up_leaves_nothing_behind(tmp_path: Path) -> None:
    with in_the_background("local", "up", "--port", "0", folder=tmp_path) as process:
        wait_until(lambda: len(processes_of(process)) == 2, tmp_path)
        both = processes_of(process)
        process.send_signal(signal.SIGINT)
        _, left = psutil.wait_procs(both, PROMPTLY_SECONDS)
        assert left == []
    assert "Traceback" not in (tmp_path / "output").read_text()


def test_an_emulator_whose_starter_is_gone_ends_without_a_word() -> None:
    command = [sys.executable, "-m", "workers.local_aws.moto_server", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_local_aws_that_dies_is_not_an_end_as_asked(tmp_path: Path) -> None:
    with in_the_background("local", "up", "--port", "0", folder=tmp_path) as process:
        wait_until(lambda: is_ready(tmp_path), tmp_path)
        [emulator] = process.children()
        emulator.kill()
        process.wait(PATIENCE_SECONDS)
    assert "The local AWS has ended by itself" in (tmp_path / "output").read_text()


def test_a_demonstration_that_is_ended_takes_its_workers_and_its_aws_along(tmp_path: Path) -> None:
    with in_the_background("demo", "--receipts", "20", folder=tmp_path) as process:
        wait_until(lambda: workers_of(process) == {"train-worker", "export-worker"}, tmp_path)
        all_of_them = processes_of(process)
        process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(all_of_them, PATIENCE_SECONDS)
        assert left == []
