"""The documentation names each command, setting, field and exit code, and its links lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CURRENT = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "infra/README.md", "launchd/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PAGES = [ROOT / "CHANGELOG.md", *CURRENT]
PACKAGES = (
    "messages",
    "receipt_dynamo",
    "run_records",
    "run_analysis",
    "receipt_layoutlm",
    "workers",
    "layoutlm_cli",
)
TOP = {*PACKAGES, "benchmarks", "docs", "infra", "launchd", "scripts", "systemd", "tests"}
"""Folders of the repository; a path that begins with another name is one of S3 or of a host."""
BUILT = {"infra/dist/"}
"""Paths that exist after a build only."""
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"(?<![\w./~{}$:-])(\w[\w.-]*)/([\w./-]*\w/?)?")


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


def named_paths(text: str) -> set[str]:
    """Paths of the repository in the code of a page: below a folder of it, or files of Python and shells."""
    found = [one for code in _CODE.findall(text) for one in _PATH.finditer(code)]
    return {one[0] for one in found if one[1] in TOP or one[0].endswith((".py", ".sh"))}


def test_paths_are_told_from_places_elsewhere_and_from_prose() -> None:
    text = "`workers/old.py`, `data/old.py`, `systemd/`, `runs/best/`, `/run/user/`, workers/told.py\n"
    fence = "```\npython scripts/old.py TABLE\naws s3 ls s3://bucket/messages/\n```\n"
    assert named_paths(text + fence) == {"workers/old.py", "data/old.py", "systemd/", "scripts/old.py"}


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    named = named_paths(page.read_text(encoding="utf-8"))
    # A page beside code may name its own folder's files.
    gone = [one for one in named - BUILT if not (ROOT / one).exists() and not (page.parent / one).exists()]
    assert not gone


def test_every_exit_code_is_in_operations() -> None:
    from workers.errors import WorkerError  # noqa: PLC0415

    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for kind in WorkerError.__subclasses__():
        assert str(kind.exit_code) in text, kind
