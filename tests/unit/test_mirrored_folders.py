"""Tests lie where the code lies that they test."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
BESIDE_PACKAGES = {
    "aws": "what AWS refuses and how each edge takes it",
    "cli": "layoutlm_cli/commands",
    "lambdas": "infra/lambdas",
    "launchd": "launchd",
    "sagemaker": "infra/sagemaker_training",
    "systemd": "systemd",
}
"""Folders of tests that no package is named after, with what they test."""


@pytest.mark.parametrize("kind", ["unit", "integration"])
def test_each_folder_of_tests_is_named_after_a_package_or_a_folder_of_one(kind: str) -> None:
    packages = [file.parent for file in ROOT.glob("*/__init__.py") if file.parent != TESTS]
    inside = [file.parent for package in packages for file in package.glob("*/__init__.py")]
    known = {folder.name for folder in [*packages, *inside]} | set(BESIDE_PACKAGES)
    found = {folder.name for folder in (TESTS / kind).iterdir() if next(folder.glob("test_*.py"), None)}
    assert found <= known


def test_each_file_of_tests_has_a_name_of_its_own() -> None:
    # Without an `__init__` in these folders pytest takes the file's name for the module's.
    names = Counter(
        file.name for kind in ("unit", "integration") for file in (TESTS / kind).rglob("test_*.py")
    )
    assert [name for name, count in names.items() if count > 1] == []
