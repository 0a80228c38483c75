"""The launcher of one training's processes: their number, and how they end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from messages.child_protocol import ChildExit, Failure, Progress, Report, parse_report
from receipt_layoutlm.training.launch import plan_processes

MEET = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("environ", "places"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0"}, []),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
        ({"LOCAL_WORLD_SIZE": "1", "CUDA_VISIBLE_DEVICES": "0,1"}, []),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, [("0", "0", "2"), ("1", "1", "2")]),
        (
            {"LOCAL_WORLD_SIZE": "2", "NNODES": "3", "NODE_RANK": "1", **MEET},
            [("2", "0", "6"), ("3", "1", "6")],
        ),
        ({"LOCAL_WORLD_SIZE": "1", "NNODES": "2", "NODE_RANK": "1", **MEET}, [("1", "0", "2")]),
        ({"RANK": "1", "WORLD_SIZE": "4", "CUDA_VISIBLE_DEVICES": "0,1"}, []),
    ],
)
def test_a_host_with_several_gpus_has_a_process_for_each(
    environ: dict[str, str], places: list[tuple[str, str, str]]
) -> None:
    planned = plan_processes({"HOME": "/here", **environ})
    assert [(one["RANK"], one["LOCAL_RANK"], one["WORLD_SIZE"]) for one in planned] == places
    assert all(one["HOME"] == "/here" for one in planned)


def test_several_hosts_have_to_be_told_where_they_meet() -> None:
    with pytest.raises(SystemExit, match="Set MASTER_ADDR to the first host"):
        plan_processes({"NNODES": "2", "LOCAL_WORLD_SIZE": "1"})


_SCRIPT = """
import os, signal, sys, time
from messages.child_protocol import ErrorClass, Failure, Progress
me = os.environ["RANK"]
failed = __file__ + ".failed"
say = lambda report: print(report.model_dump_json(), flush=True)
fail = lambda kind, why: say(Failure(error_class=kind, message=why))
"""


@contextmanager
def launched(tmp_path: Path, *, first: str, second: str) -> Iterator[subprocess.Popen[bytes]]:
    """A launcher with two processes; what each does is Python."""
    script = tmp_path / "process.py"
    script.write_text(f"{_SCRIPT}\nif me == '0':\n    {first}\nelse:\n    {second}\n")
    launching = (
        "import os, sys\n"
        "from receipt_layoutlm.training import launch\n"
        "launch.GRACE_SECONDS = 5.0\n"
        "environ = {**os.environ, 'LOCAL_WORLD_SIZE': '2'}\n"
        f"sys.exit(launch.launch([sys.executable, {str(script)!r}], launch.plan_processes(environ)))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", launching], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()


def ending(process: subprocess.Popen[bytes]) -> tuple[int, list[Report | None]]:
    assert process.stdout is not None
    reports = [parse_report(line) for line in process.stdout]
    return process.wait(60), reports


_FOREVER = "time.sleep(600)"
_FAIL_LATE = """
    while not os.path.exists(failed):
        time.sleep(0.05)
    time.sleep(0.5); fail('crashed', 'alone'); sys.exit(75)
"""
"""Fails after the other one has reported its failure, and before that one has exited."""


@pytest.mark.parametrize(
    ("first", "second", "code", "said"),
    [
        ("say(Progress(stage='a'))", "say(Progress(stage='b'))", ChildExit.DONE, ["a"]),
        ("sys.exit(83)", "fail('crashed', 'alone'); sys.exit(75)", ChildExit.STOPPED, []),
        ("sys.exit(0)", _FOREVER, ChildExit.DONE, []),
        (_FOREVER, "fail('memory', 'too small'); sys.exit(75)", ChildExit.RETRY, ["too small"]),
        ("fail('data', 'no labels'); sys.exit(65)", _FOREVER, ChildExit.PERMANENT, ["no labels"]),
        (
            "time.sleep(0.7); fail('crashed', 'alone'); sys.exit(75)",
            "fail('diverged', 'exploded'); sys.exit(65)",
            ChildExit.PERMANENT,
            ["exploded"],
        ),
        (
            _FAIL_LATE,
            "fail('data', 'no labels'); open(failed, 'x').close(); time.sleep(2); sys.exit(65)",
            ChildExit.PERMANENT,
            ["no labels"],
        ),
        (_FOREVER, "os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, []),
        (_FOREVER, "os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, []),
        ("os.kill(os.getpid(), signal.SIGTERM)", _FOREVER, -signal.SIGTERM, []),
        (
            "time.sleep(0.7); fail('crashed', 'alone'); sys.exit(75)",
            "os.kill(os.getpid(), signal.SIGKILL)",
            -signal.SIGKILL,
            [],
        ),
    ],
)
def test_the_first_one_that_fails_is_the_reason_why_all_end(
    first: str, second: str, code: int, said: list[str], tmp_path: Path
) -> None:
    with launched(tmp_path, first=first, second=second) as process:
        found, reports = ending(process)
    assert found == code
    words = [one.stage if isinstance(one, Progress) else getattr(one, "message", one) for one in reports]
    assert words == said


def test_a_signal_reaches_the_first_one_alone(tmp_path: Path) -> None:
    first = "signal.signal(15, lambda *_: sys.exit(83)); say(Progress(stage='ready')); time.sleep(600)"
    with launched(
        tmp_path, first=first, second="signal.signal(15, lambda *_: sys.exit(1)); sys.stdin.read()"
    ) as one:
        assert one.stdout is not None
        assert one.stdout.readline()
        one.send_signal(signal.SIGTERM)
        assert ending(one) == (ChildExit.STOPPED, [])


def test_each_one_hears_of_the_lease_and_of_its_end(tmp_path: Path) -> None:
    hears = (
        "line = sys.stdin.readline(); rest = sys.stdin.read(); fail('data', me + line + rest); sys.exit(84)"
    )
    with launched(tmp_path, first=f"say(Progress(stage='ready')); {hears}", second=hears) as one:
        assert one.stdin is not None
        one.stdin.write(b"12.000\n")
        one.stdin.close()
        code, reports = ending(one)
    assert code == ChildExit.LAPSED
    assert isinstance(reports[-1], Failure)
    assert reports[-1].message[1:] == "12.000\n"


_AGREES = """
from run_records.job_process.child_main import StopRequested
from receipt_layoutlm.training.distributed import AgreedStop, Ranks
with Ranks.joined() as ranks:
    asked = StopRequested()
    asked.install()
    stop = AgreedStop(asked, ranks)
    stop.agree()
    assert not stop
    if not ranks.is_first:
        os.kill(os.getpid(), signal.SIGTERM)
    assert not stop  # not before all know
    stop.agree()
    assert stop
    assert ranks.mean(ranks.rank) == 0.5
    lost = ranks.mean(float("nan") if ranks.rank else 1.0)
    assert lost != lost
    assert ranks.from_first(lambda: {"made by": ranks.rank}) == {"made by": 0}
    ranks.require_same("count", ranks.count)
    try:
        ranks.require_same("rank", ranks.rank)
    except RuntimeError as error:
        say(Progress(stage=str(error)))
"""


def test_two_processes_stop_fail_and_decide_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    agreeing = f"exec({_AGREES!r})"
    with launched(tmp_path, first=agreeing, second=agreeing) as process:
        code, [report] = ending(process)
    assert code == ChildExit.DONE
    assert isinstance(report, Progress)
    assert report.stage == "The 2 processes of this training differ in rank: [0, 1]."
