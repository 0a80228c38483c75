"""systemd's units as the tests read them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "systemd"
PROGRAM = "/opt/receipt-layoutlm/bin/layoutlm-cli"
KINDS = ("train", "export")
MARK = "# --- Both workers ---\n"


def unit_path(kind: str) -> Path:
    return FOLDER / f"layoutlm-{kind}-worker.service"


def read_unit(kind: str) -> dict[str, list[str]]:
    """Each key of a unit with its values, in order."""
    found: dict[str, list[str]] = {}
    for line in unit_path(kind).read_text().splitlines():
        if line and line[0] not in "#[":
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def seconds(unit: dict[str, list[str]], key: str) -> int:
    """A length of time, which our units write as plain seconds."""
    [value] = unit[key]
    return int(value)


def environment(unit: dict[str, list[str]], cache: str, runtime: str) -> dict[str, str]:
    """What the unit itself sets, with systemd's own folders in it."""
    lines = [line.replace("%C", cache).replace("%t", runtime) for line in unit["Environment"]]
    return dict(line.split("=", 1) for line in lines)
