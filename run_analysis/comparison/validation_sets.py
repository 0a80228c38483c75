"""Groups runs by the validation receipts they were scored on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from run_analysis.runs import RunSummary

_NAMED = 5


def by_validation(runs: Iterable[RunSummary]) -> dict[str | None, list[RunSummary]]:
    """The runs of each set of validation receipts, the largest set first; those that do not say are last."""
    found: dict[str | None, list[RunSummary]] = defaultdict(list)
    for run in runs:
        found[run.validation].append(run)
    return dict(sorted(found.items(), key=lambda one: (one[0] is None, -len(one[1]))))


def name_some(runs: Sequence[RunSummary]) -> str:
    """Their names; of many the first ones, and how many more there are."""
    shown = ", ".join(run.name for run in runs[:_NAMED])
    return shown if len(runs) <= _NAMED else f"{shown} and {len(runs) - _NAMED} more"


def describe_ranking(runs: Sequence[RunSummary], *, across_splits: bool) -> list[str]:
    """Explain which runs are ranked together, and why."""
    sets = by_validation(runs)
    unknown = sets.pop(None, [])
    said = []
    if len(sets) == 1:
        [(validation, same)] = sets.items()
        said.append(f"Scored on the same validation receipts ({validation}): {name_some(same)}.")
    elif sets:
        where = "; ".join(f"{name_some(same)} on {validation}" for validation, same in sets.items())
        said.append(f"The runs were scored on different validation receipts: {where}.")
    if unknown:
        said.append(f"It is not known on which receipts these were scored: {name_some(unknown)}.")
    if len(sets) > 1 or unknown:
        said.append(
            "All are ranked together, as was asked: a difference may come from the receipts alone."
            if across_splits
            else "Only runs on the same receipts are ranked together; ask for it across splits to rank all."
        )
    return said
