"""Module docstrings: each says what its module holds, and opens with a noun or a verb."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BUILT = ROOT / "infra" / "dist"
"""Output of infra/build.py, with other people's packages."""
FOLDERS = (
    "messages",
    "receipt_dynamo",
    "run_records",
    "run_analysis",
    "receipt_layoutlm",
    "workers",
    "receipt_ocr",
    "layoutlm_cli",
    "infra",
    "scripts",
    "benchmarks",
    "tests",
)
CLAUSE = re.compile(
    r"(what|who|whose|whom|how|where|when|which|why)(ever)?\b|(whether|if|of|as)\b"
    r"|(about|against|after|at|before|by|for|from|in|on|over|through|to|under|until|with)"
    r" (what|which|whom|whose|where|how)\b",
    re.IGNORECASE,
)
"""A relative clause or a question: the reader learns only at its end what the module is."""


def docstrings() -> dict[str, str]:
    """The docstring of each module by its path; "" where it has none."""
    return {
        str(path.relative_to(ROOT)): ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if BUILT not in path.parents
    }


def test_no_module_docstring_opens_with_a_relative_clause() -> None:
    assert {path: text.splitlines()[0] for path, text in docstrings().items() if CLAUSE.match(text)} == {}


def test_every_package_says_in_a_sentence_what_it_holds() -> None:
    packages = {path: text for path, text in docstrings().items() if path.endswith("__init__.py")}
    assert len(packages) > len(FOLDERS)
    assert [path for path, text in packages.items() if not text.split("\n\n")[0].endswith(".")] == []


@pytest.mark.parametrize(
    "text",
    ["What a queue says.", "Whatever becomes of it.", "Of a run.", "From which it comes.", "how it ends."],
)
def test_a_clause_is_recognised(text: str) -> None:
    assert CLAUSE.match(text)


@pytest.mark.parametrize(
    "text", ["Whole runs.", "Offers a lease.", "From words to boxes.", "Howitzers.", "Assets."]
)
def test_a_noun_phrase_is_no_clause(text: str) -> None:
    assert not CLAUSE.match(text)
