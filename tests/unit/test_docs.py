"""The documentation names each command, setting, field and exit code, and its links lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_reference_is_current_and_so_names_every_command_setting_and_field() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "make_reference.py"))
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == made["reference"](), (
        "run `make reference`"
    )


def test_the_reference_leaves_no_meaning_empty() -> None:
    for line in (ROOT / "docs" / "reference.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            assert line.rstrip(" |").rsplit("|", 1)[-1].strip(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_exit_code_is_in_operations() -> None:
    from workers.errors import WorkerError  # noqa: PLC0415

    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for kind in WorkerError.__subclasses__():
        assert str(kind.exit_code) in text, kind
