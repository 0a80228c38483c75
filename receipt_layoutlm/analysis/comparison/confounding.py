"""What else differs between groups of runs: a difference in their scores may come from that instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from receipt_layoutlm.analysis.comparison.settings import settings_of, text_of
from receipt_layoutlm.analysis.runs import RunSummary
from run_records.lenient_model import Fact

# Repetitions are told apart by the seed; what a run was scored on is looked at by itself; the others change
# where things lie and how fast they come.
_PASSED_OVER = frozenset(
    {
        "seed",
        "val_keys_s3",
        "no_frozen_val",
        "output_s3_path",
        "dataset_snapshot_save",
        "dataloader_workers",
    }
)


class Confounder(Fact):
    """A setting whose values are not spread alike over the groups: group to value to its runs."""

    setting: str
    values: dict[str, dict[str, int]]


def find_confounders(groups: Mapping[str, Sequence[RunSummary]], without: str) -> tuple[Confounder, ...]:
    """The settings, other than the one that was grouped by, that the groups do not share in like parts.

    In a full grid every value of one option meets the same values of the others, and nothing is found.
    """
    described = {name: [_describe(run) for run in runs] for name, runs in groups.items()}
    names = dict.fromkeys(name for runs in described.values() for one in runs for name in one)
    found = []
    for name in names:
        if name == without or name in _PASSED_OVER:
            continue
        spread = {group: Counter(text_of(one.get(name)) for one in runs) for group, runs in described.items()}
        if len({_parts(counts) for counts in spread.values()}) > 1:
            found.append(Confounder(setting=name, values={group: dict(n) for group, n in spread.items()}))
    return tuple(found)


def _describe(run: RunSummary) -> dict[str, Any]:
    """The settings of a run, and the data that it learned from and was scored on."""
    data = {"train_receipts": run.train_receipts, "validation receipts": run.validation}
    return {**settings_of(run.config), **data}


def _parts(counts: Counter[str]) -> frozenset[tuple[str, Fraction]]:
    return frozenset((value, Fraction(count, counts.total())) for value, count in counts.items())
