"""Every import of another's package is of one that the installation at hand declares, extra by extra."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OURS = {
    "messages",
    "receipt_dynamo",
    "run_records",
    "run_analysis",
    "receipt_layoutlm",
    "workers",
    "layoutlm_cli",
}
OURS |= {"infra", "layoutlm_infra", "lambdas", "scripts", "benchmarks", "tests"}
PROVIDES = packages_distributions()

Installation = tuple[str, ...]
BASE: Installation = ()
# The longest path that fits counts. Each of the installations that stand there has to do by itself.
INSTALLATIONS: dict[str, tuple[Installation, ...]] = {
    "messages": (BASE,),
    "receipt_dynamo": (BASE,),
    "run_records": (BASE,),
    "workers": (BASE,),
    "workers/local_aws/moto_server.py": (("local",),),
    "workers/telemetry/tracing.py": (("otel",),),
    "receipt_layoutlm": (("train",), ("export",)),
    "run_analysis": (("analysis",),),
    "run_analysis/report": (("analysis",), ("train",)),
    "receipt_layoutlm/coreml": (("export",),),
    "receipt_layoutlm/data/receipt_table.py": (("train",), ("analysis",)),
    "receipt_layoutlm/data/dataset_hash.py": (("train",), ("analysis",)),
    "receipt_layoutlm/data/snapshot.py": (("train",),),
    "receipt_layoutlm/inference": (("train", "draw"), ("export", "draw")),
    "receipt_layoutlm/training": (("train",),),
    "layoutlm_cli": (BASE,),
    "layoutlm_cli/mcp_server": (("mcp",),),
    "layoutlm_cli/commands/dashboard.py": (("dashboard",),),
    "layoutlm_cli/commands/infer.py": (("draw",),),
    "layoutlm_cli/dashboard": (("dashboard",),),
    "infra": (("infra",),),
    "infra/lambdas": (BASE,),
    "infra/sagemaker_training": (("train",),),
    "scripts": (BASE,),
    "benchmarks": (("train", "export", "local", "dev"),),
    "tests": (tuple(EXTRAS),),
}
FILES = sorted(path for place in INSTALLATIONS if "/" not in place for path in (ROOT / place).rglob("*.py"))


def imported(source: str) -> Iterator[tuple[str, bool]]:
    """The packages that a source imports from others, and whether only type checkers do."""
    yield from _imported(ast.parse(source), only_types=False)


def _imported(node: ast.AST, *, only_types: bool) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [node.module]
    else:
        names = []
    for name in {name.split(".")[0] for name in names} - OURS - sys.stdlib_module_names:
        yield name, only_types
    checked = node.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" else []
    for child in ast.iter_child_nodes(node):
        yield from _imported(child, only_types=only_types or child in checked)


@cache
def declared(installation: Installation) -> frozenset[str]:
    """The distributions that an installation names, by canonical names."""
    names: set[str] = set()
    for one in (PROJECT["dependencies"], *(EXTRAS[extra] for extra in installation)):
        for requirement in map(Requirement, one):
            if requirement.name == PROJECT["name"]:  # an extra that takes another one in
                names |= declared(tuple(sorted(requirement.extras)))
            else:
                names |= {canonicalize_name(requirement.name), *_of_extras(requirement)}
    return frozenset(names)


def _of_extras(requirement: Requirement) -> Iterator[str]:
    """What another package's extras name, such as the services of boto3-stubs."""
    for one in map(Requirement, (requires(requirement.name) or ()) if requirement.extras else ()):
        marker = one.marker
        if marker and any(marker.evaluate({"extra": extra}) for extra in requirement.extras):
            yield canonicalize_name(one.name)


def undeclared(source: str, installation: Installation) -> list[str]:
    """The packages that a source imports and an installation does not declare."""
    missing = []
    for package, only_types in imported(source):
        known = declared((*installation, "dev") if only_types else installation)
        if not known & {canonicalize_name(name) for name in PROVIDES.get(package, [package])}:
            missing.append(package)
    return missing


def installations_of(path: str) -> tuple[Installation, ...]:
    places = [place for place in INSTALLATIONS if path == place or path.startswith(f"{place}/")]
    return INSTALLATIONS[max(places, key=len)]


def test_every_import_is_declared_by_each_installation_that_has_its_module() -> None:
    assert len(FILES) > 300
    faults = [
        f"{path.relative_to(ROOT)}, installed with {list(installation)}: {missing}"
        for path in FILES
        for installation in installations_of(path.relative_to(ROOT).as_posix())
        if (missing := undeclared(path.read_text(encoding="utf-8"), installation))
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("import werkzeug", ["werkzeug"]),
        ("def late():\n    from sqlalchemy.exc import SQLAlchemyError", ["sqlalchemy"]),
        ("try:\n    import not_there_at_all\nexcept ImportError:\n    pass", ["not_there_at_all"]),
        ("if TYPE_CHECKING:\n    import mypy_boto3_dynamodb", []),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import mypy_boto3_dynamodb", ["mypy_boto3_dynamodb"]),
        ("import json, boto3\nfrom . import torch", []),
    ],
)
def test_what_is_not_declared_is_found_wherever_it_is_imported(source: str, missing: list[str]) -> None:
    assert undeclared(source, BASE) == missing


def test_every_place_of_the_table_is_there() -> None:
    assert [place for place in INSTALLATIONS if not (ROOT / place).exists()] == []


def test_every_declared_dependency_has_an_exact_version_within_its_range() -> None:
    exact = dict(re.findall(r"^([\w.-]+)==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    versions = {canonicalize_name(name): version for name, version in exact.items()}
    faults = []
    for one in (PROJECT["dependencies"], *EXTRAS.values()):
        for requirement in map(Requirement, one):
            if requirement.name == PROJECT["name"]:
                continue
            version = versions.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                faults.append(f"{requirement}: {version}")
    assert faults == []
