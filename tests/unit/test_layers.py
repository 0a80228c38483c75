"""Imports point down only, no module is in a cycle, and a daemon never meets torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GROUND = {"messages", "receipt_dynamo", "run_records"}
MAY_IMPORT = {
    "messages": set[str](),
    "receipt_dynamo": set[str](),
    "run_records": {"messages", "receipt_dynamo"},
    "workers": {"messages", "receipt_dynamo"},
    "run_analysis": GROUND,
    "receipt_layoutlm": GROUND | {"run_analysis"},
    "layoutlm_cli": GROUND | {"run_analysis", "receipt_layoutlm", "workers"},
}
# Each row may import the rows below it; places of one row do not import each other.
FLOORS = {
    "workers": [
        {"operator"},
        {"daemon"},
        {"jobs"},
        {"runtime"},
        {"host"},
        {"telemetry", "local_aws"},
        {"sqs"},
        {"health", "s3_bucket"},
        {"aws_clients"},
        {"aws_errors", "settings"},
        {"side_tasks", "user_folders"},
        {"stop"},
        {"errors"},
    ],
    "receipt_layoutlm": [
        {"inference"},
        {"coreml", "training", "diagnosis"},
        {"evaluation"},
        {"model_folder"},
        {"checkpoint"},
        {"tokenizer_files"},
        {"source_config", "tag_transitions"},
        {"data"},
        {"errors"},
    ],
    "receipt_layoutlm.training": [{"benchmark"}, {"speed"}],
    "run_analysis": [
        {"advice", "summary", "sweep", "report"},
        {"findings", "active_runs", "comparison"},
        {"run"},
        {"job_records"},
        {"runs", "dataset_statistics", "markdown"},
    ],
    "layoutlm_cli": [{"main"}, {"commands"}, {"dashboard", "mcp_server"}],
}


@cache
def imports() -> dict[str, set[str]]:
    """Each module with the modules that it imports, also in functions and for type checkers alone."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in MAY_IMPORT
        for path in (ROOT / package).rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name if name in files else node.module for name in names}
        graph[module] = (found & set(files)) - {module}
    return graph


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_import_points_up_or_sideways(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    for module, found in imports().items():
        if module.split(".")[0] == package:
            assert {name.split(".")[0] for name in found} <= allowed, module


@pytest.mark.parametrize("package", FLOORS)
def test_no_import_between_folders_points_back(package: str) -> None:
    floor_of = {place: floor for floor, places in enumerate(FLOORS[package]) for place in places}
    inside = {module: module.removeprefix(f"{package}.").split(".")[0] for module in imports()}
    back = defaultdict(set)
    for module, found in imports().items():
        for name in found:
            pair = inside[module], inside[name]
            both = module.startswith(f"{package}.") and name.startswith(f"{package}.")
            ranked = both and pair[0] != pair[1] and set(pair) <= set(floor_of)
            if ranked and floor_of[pair[0]] >= floor_of[pair[1]]:
                back[pair].add((module, name))
    assert not back


def test_every_place_of_the_floors_is_there() -> None:
    for package, floors in FLOORS.items():
        for place in set().union(*floors):
            path = ROOT / package.replace(".", "/") / place
            assert path.is_dir() or path.with_suffix(".py").is_file(), path


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(f"these modules import each other: {error.args[1]}")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        (
            "workers.daemon",
            {
                "torch",
                "transformers",
                "coremltools",
                "numpy",
                "pyarrow",
                "boto3",
                "aiobotocore",
                "moto",
                "receipt_layoutlm",
                "run_records",
                "receipt_ocr",
            },
        ),
        (
            "layoutlm_cli.main",
            {
                "torch",
                "transformers",
                "coremltools",
                "numpy",
                "pyarrow",
                "boto3",
                "aiobotocore",
                "moto",
            },
        ),
        ("messages", {"botocore", "boto3", "torch"}),
    ],
)
def test_what_starts_often_imports_nothing_heavy(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*(name for name in {sorted(heavy)} if name in sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert answer.stdout.split() == []


@pytest.mark.parametrize(
    ("module", "built"),
    [("workers.daemon", "False"), ("receipt_dynamo.client", "True")],
)
def test_a_daemon_builds_validators_when_it_needs_them_and_threads_find_them_built(
    module: str, built: str
) -> None:
    code = (
        f"import {module}\n"
        "from pydantic.dataclasses import is_pydantic_dataclass\n"
        "from receipt_dynamo import entities\n"
        "records = filter(is_pydantic_dataclass, vars(entities).values())\n"
        "print(*{record.__pydantic_complete__ for record in records})"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert answer.stdout.split() == [built]


@pytest.mark.parametrize("package", ["run_records", "run_analysis"])
def test_what_daemons_and_assistants_read_imports_no_model(package: str) -> None:
    heavy = {"torch", "transformers", "coremltools"}
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not heavy & {alias.name.split(".")[0] for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.module.split(".")[0] not in heavy, path
