"""Imports point down only, and a daemon never meets torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MAY_IMPORT = {
    "messages": set(),
    "receipt_dynamo": set(),
    "receipt_layoutlm": {"messages", "receipt_dynamo"},
    "workers": {"messages", "receipt_dynamo"},
    "layoutlm_cli": {"messages", "receipt_dynamo", "receipt_layoutlm", "workers"},
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_import_points_up_or_sideways(package: str) -> None:
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    for path in (ROOT / package).rglob("*.py"):
        assert not forbidden & set(imported(path)), path.relative_to(ROOT)


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
            },
        ),
        (
            "layoutlm_cli.main",
            {"torch", "transformers", "coremltools", "numpy", "pyarrow", "boto3", "aiobotocore", "moto"},
        ),
        ("messages", {"botocore", "boto3", "torch"}),
    ],
)
def test_what_starts_often_imports_nothing_heavy(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*(name for name in {sorted(heavy)} if name in sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout.split() == []


@pytest.mark.parametrize(
    ("module", "built"), [("workers.daemon", "False"), ("receipt_dynamo.client", "True")]
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
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout.split() == [built]
