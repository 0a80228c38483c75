"""The floors of coverage: held to what coverage.py itself measures of packages that the test writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "coverage_floors.py"
FLOORS = ROOT / "tests" / "coverage_floors.toml"
# Five lines and two branches, of which a call with True runs four and one: 5 of 7, so 71.43 %.
HALF = "def choose(yes):\n    answer = 1\n    if yes:\n        return answer\n    return 2\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two packages and coverage.py's report: all lines of `whole` ran, one of two branches of `half/deep`."""
    for name, text in (("whole/__init__.py", "x = 1\n"), ("half/__init__.py", ""), ("half/deep.py", HALF)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "use.py").write_text(
        "import whole\nfrom half.deep import choose\nchoose(True)\n", encoding="utf-8"
    )
    for command in (["run", "--branch", "--source=whole,half", "use.py"], ["json"]):
        subprocess.run(
            [sys.executable, "-m", "coverage", *command],
            cwd=tmp_path,
            env=without_coverage(),
            check=True,
            capture_output=True,
        )
    return tmp_path


def without_coverage() -> dict[str, str]:
    """The environment, less what would measure a process together with this test or decide what it traces."""
    ours = ("COVERAGE_", "TRACE_ALL_TESTS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def held(project: Path, floors: Mapping[str, float], *options: str) -> subprocess.CompletedProcess[str]:
    table = project / "floors.toml"
    table.write_text("".join(f"{name} = {floor}\n" for name, floor in floors.items()), encoding="utf-8")
    return subprocess.run(
        [sys.executable, SCRIPT, project / "coverage.json", "--floors", table, *options],
        check=False,
        capture_output=True,
        text=True,
    )


def kept(project: Path) -> dict[str, float]:
    return tomllib.loads((project / "floors.toml").read_text(encoding="utf-8"))


def test_each_package_is_printed_beside_its_floor(project: Path) -> None:
    ended = held(project, {"whole": 99.5, "half": 71.4})
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["package", "measured", "floor"],
        ["half", "71.43", "71.4"],
        ["whole", "100.00", "99.5"],
    ]
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("floors", "sentence"),
    [
        ({"whole": 99.5, "half": 71.5}, "Coverage of half fell to 71.43 %, below its floor of 71.5 %: "),
        ({"whole": 99.5}, "half was measured and has no floor: "),
        ({"whole": 99.5, "half": 71.4, "gone": 50}, "gone has a floor and was not measured: "),
    ],
    ids=["below its floor", "no floor", "not measured"],
)
def test_a_package_that_does_not_fit_its_floor_ends_it_with_one_sentence(
    project: Path, floors: dict[str, float], sentence: str
) -> None:
    ended = held(project, floors)
    assert ended.returncode == 1
    (said,) = ended.stderr.splitlines()
    assert said.startswith(sentence)


def test_raise_lifts_floors_and_adds_packages_with_room_below_what_was_measured(project: Path) -> None:
    ended = held(project, {"half": 60}, "--raise")
    assert ended.returncode == 0, ended.stderr
    assert kept(project) == {"half": 70.9, "whole": 99.5}
    assert held(project, kept(project)).returncode == 0


def test_raise_lowers_no_floor_and_says_which_is_not_reached(project: Path) -> None:
    ended = held(project, {"half": 90, "whole": 99.9}, "--raise")
    assert kept(project) == {"half": 90, "whole": 99.9}
    assert ended.returncode == 1
    assert ended.stderr.startswith("Coverage of half fell to 71.43 %")


@pytest.mark.parametrize(("switch", "seen"), [({}, False), ({"TRACE_ALL_TESTS": "1"}, True)])
def test_what_make_test_leaves_untraced_is_traced_for_all_packages(
    tmp_path: Path, switch: dict[str, str], seen: bool
) -> None:
    """`make coverage` would fall below its floors for no fault of the code if the variable meant nothing."""
    report = tmp_path / "coverage.json"
    tested = ["tests/unit/evaluation/test_evaluation_transitions.py", "-p", "no:cacheprovider"]
    measure = ["--cov=receipt_layoutlm", f"--cov-report=json:{report}"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *tested, *measure],
        cwd=ROOT,
        env={**without_coverage(), **switch, "COVERAGE_FILE": str(tmp_path / ".coverage")},
        check=True,
        capture_output=True,
    )
    files = json.loads(report.read_text(encoding="utf-8"))["files"]
    functions = files["receipt_layoutlm/evaluation/decoding.py"]["functions"]
    assert (functions["decode_constrained"]["summary"]["covered_lines"] > 0) is seen


def test_the_table_has_a_floor_for_each_package_that_is_installed_and_for_infra() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    floors = tomllib.loads(FLOORS.read_text(encoding="utf-8"))
    assert set(floors) == {*wheel["targets"]["wheel"]["packages"], "infra"}
