"""The fixed files of every bundle: its README, and the script that verifies the model on a Mac."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

README = "README.md"
VERIFY_ON_MAC = "verify_on_mac.py"


def write_templates(folder: Path, facts: dict[str, str]) -> None:
    """Write both into a bundle's folder; `facts` fill the README's gaps."""
    readme = Template(_read(README)).substitute(facts)
    for name, text in {README: readme, VERIFY_ON_MAC: _read(VERIFY_ON_MAC)}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _read(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
