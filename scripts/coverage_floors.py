"""Coverage of each top-level package, held to its floor.

Reads the report of `coverage json` and prints what each package reached, in percent of lines and branches.
A package below its floor ends it with 1. `--raise` lifts floors and adds missing ones; it lowers none.
"""

from __future__ import annotations

import json
import math
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

FLOORS = Path(__file__).parent.parent / "tests" / "coverage_floors.toml"
# Points below what was measured: which branches a run takes depends a little on timing and on drawn examples.
ROOM = 0.5
_HEAD = """\
# Percent of lines and branches that `make coverage` has to reach, by top-level package.
# `make coverage RAISE=--raise` lifts them after a run that reached more.

"""


def measured(report: Path) -> dict[str, float]:
    """Percent of lines and branches by top-level package, counted as coverage.py counts its total."""
    covered: Counter[str] = Counter()
    countable: Counter[str] = Counter()
    for name, file in json.loads(report.read_text(encoding="utf-8"))["files"].items():
        package, summary = Path(name).parts[0], file["summary"]
        covered[package] += summary["covered_lines"] + summary["covered_branches"]
        countable[package] += summary["num_statements"] + summary["num_branches"]
    return {package: 100 * covered[package] / count for package, count in countable.items() if count}


def faults(reached: Mapping[str, float], floors: Mapping[str, float]) -> Iterator[str]:
    """One sentence for each package whose coverage and floor do not fit together."""
    for package in sorted({*reached, *floors}):
        if package not in reached:
            yield f"{package} has a floor and was not measured: mend PACKAGES in the Makefile or this row."
        elif package not in floors:
            yield f"{package} was measured and has no floor: `make coverage RAISE=--raise` adds it."
        elif reached[package] < floors[package]:
            yield (
                f"Coverage of {package} fell to {reached[package]:.2f} %, below its floor of "
                f"{floors[package]} %: add tests for what changed, or delete what no test needs."
            )


def raised(reached: Mapping[str, float], floors: Mapping[str, float]) -> dict[str, float]:
    """The floors, lifted to what was measured, less the room; none is lowered."""
    lifted = {package: math.floor(10 * (one - ROOM)) / 10 for package, one in reached.items()}
    return {name: max(lifted.get(name, 0.0), floors.get(name, 0.0)) for name in sorted({*reached, *floors})}


def main(
    report: Annotated[Path, typer.Argument(help="What `coverage json` wrote.")],
    floors_file: Annotated[Path, typer.Option("--floors", help="The table of floors.")] = FLOORS,
    *,
    lift: Annotated[bool, typer.Option("--raise", help="Lift the floors to what was measured.")] = False,
) -> None:
    """Print the coverage of each package beside its floor, and end with 1 when one is below."""
    reached = measured(report)
    floors: dict[str, float] = tomllib.loads(floors_file.read_text(encoding="utf-8"))
    if lift:
        floors = raised(reached, floors)
        rows = "".join(f"{package} = {floor}\n" for package, floor in floors.items())
        floors_file.write_text(_HEAD + rows, encoding="utf-8")
    typer.echo(f"{'package':<20}{'measured':>10}{'floor':>8}")
    for package in sorted({*reached, *floors}):
        one, floor = reached.get(package, math.nan), floors.get(package, math.nan)
        typer.echo(f"{package:<20}{one:>10.2f}{floor:>8.1f}")
    sentences = list(faults(reached, floors))
    for sentence in sentences:
        typer.echo(sentence, err=True)
    sys.exit(bool(sentences))


if __name__ == "__main__":
    typer.run(main)
