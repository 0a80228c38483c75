"""A process that was killed from outside: for its memory or not, as far as the kernel tells."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from messages.child_protocol import ChildExit, ErrorClass, Failure
from workers.host.oom_kills import count_memory_kills, memory_kills_since
from workers.runtime.outcome import Ending, result_of_exit


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """The kernel's files for a control group of our own."""
    (tmp_path / "own").write_text("12:cpu:/elsewhere\n0::/system.slice/train.service\n")
    group = tmp_path / "system.slice" / "train.service"
    group.mkdir(parents=True)
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n")
    return tmp_path


def test_the_kernels_kills_are_counted_for_our_own_group(groups: Path) -> None:
    assert count_memory_kills(groups, groups / "own") == 3


@pytest.mark.parametrize("own", ["4:memory:/train.service\n", "4:memory:/train.service\n0::/unlimited\n"])
def test_control_groups_of_the_older_kind_count_as_well(groups: Path, own: str) -> None:
    (groups / "own").write_text(own)
    group = groups / "memory" / "train.service"
    group.mkdir(parents=True)
    (group / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert count_memory_kills(groups, groups / "own") == 2


@pytest.mark.parametrize("own", ["4:memory:/gone\n", "5:devices:/old\n", "0::/gone\n", ""])
def test_where_nobody_counts_it_is_unknown(groups: Path, own: str) -> None:
    (groups / "own").write_text(own)
    assert count_memory_kills(groups, groups / "own") is None
    assert count_memory_kills(groups, groups / "absent") is None
    assert memory_kills_since(None) is None


@pytest.mark.parametrize(
    ("kills", "error_class", "words"),
    [
        (1, ErrorClass.MEMORY, "The kernel killed the process for the host memory"),
        (None, ErrorClass.MEMORY, "most likely for the host memory"),
        (0, ErrorClass.HOST, "not for the memory"),
    ],
)
def test_a_kill_from_outside_is_named_as_far_as_it_is_known(
    kills: int | None, error_class: ErrorClass, words: str
) -> None:
    verdict = result_of_exit(-signal.SIGKILL, None, [], kills)
    assert (verdict.ending, verdict.error_class) == (Ending.LATER, error_class)
    assert words in str(verdict.message)


def test_a_child_that_ended_with_its_lease_was_interrupted_and_has_not_failed() -> None:
    assert result_of_exit(ChildExit.LAPSED, None, ["ending at once"]).ending is Ending.STOPPED
    network = Failure(error_class=ErrorClass.NETWORK, message="gone")
    assert result_of_exit(ChildExit.LAPSED, network, []).ending is Ending.STOPPED
