"""Compares groups of runs, with confounders named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from run_analysis.comparison.setting_differences import OPTIONS, find_option, settings_of, text_of
from run_analysis.comparison.statistics import (
    ENOUGH_RUNS,
    LEAST_RUNS,
    PairTest,
    ScoreSummary,
    compare_pairs,
    summarize,
)
from run_analysis.comparison.validation_sets import by_validation, name_some
from run_analysis.runs import RunSummary
from run_records.lenient_model import LenientModel

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


class Confounder(LenientModel):
    """A setting whose values are not spread alike over the groups: group to value to its runs."""

    setting: str
    values: dict[str, dict[str, int]]


def find_confounders(groups: Mapping[str, Sequence[RunSummary]], without: str) -> tuple[Confounder, ...]:
    """The settings, other than the one that was grouped by, that the groups do not share in like parts.

    In a full grid every value of one option meets the same values of the others, and nothing is found.
    """
    described = {name: [_settings_of(run) for run in runs] for name, runs in groups.items()}
    names = dict.fromkeys(name for runs in described.values() for one in runs for name in one)
    found = []
    for name in names:
        if name == without or name in _PASSED_OVER:
            continue
        spread = {group: Counter(text_of(one.get(name)) for one in runs) for group, runs in described.items()}
        if len({_parts(counts) for counts in spread.values()}) > 1:
            found.append(Confounder(setting=name, values={group: dict(n) for group, n in spread.items()}))
    return tuple(found)


def _settings_of(run: RunSummary) -> dict[str, Any]:
    """The settings of a run, and the data that it learned from and was scored on."""
    data = {"train_receipts": run.train_receipts, "validation receipts": run.validation}
    return {**settings_of(run.config), **data}


def _parts(counts: Counter[str]) -> frozenset[tuple[str, Fraction]]:
    return frozenset((value, Fraction(count, counts.total())) for value, count in counts.items())


class GroupRun(LenientModel):
    """One run of a group."""

    job_id: str
    name: str
    best_f1: float


class RunGroup(LenientModel):
    """The runs of one value, the best first; `text` is the value as the pairs name it."""

    value: Any
    text: str
    scores: ScoreSummary
    runs: tuple[GroupRun, ...]

    @property
    def best(self) -> GroupRun:
        """The run with the highest F1."""
        return self.runs[0]


class LeftOut(LenientModel):
    """Runs that are in no group, and why."""

    why: str
    runs: tuple[str, ...]


class GroupComparison(LenientModel):
    """Groups of runs by their best F1.

    Attributes:
        by: the option or tag.
        validation: the receipts that all were scored on; None where several sets are pooled.
        groups: the highest mean first.
        pairs: every two groups, those that can be told apart first.
        confounders: what else differs between the groups.
        left_out: runs that are in none.
        notes: what to know before drawing a conclusion, in plain words.
    """

    by: str
    validation: str | None = None
    groups: tuple[RunGroup, ...] = ()
    pairs: tuple[PairTest, ...] = ()
    confounders: tuple[Confounder, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The runs that are grouped, those left out by the reason why, and all sets of validation receipts."""

    runs: list[RunSummary]
    left_out: dict[str, list[RunSummary]]
    sets: dict[str | None, list[RunSummary]]

    @property
    def validation(self) -> str | None:
        """The validation set of all runs; None where they have several."""
        found = {run.validation for run in self.runs}
        return found.pop() if len(found) == 1 else None


def compare_groups(runs: Sequence[RunSummary], by: str, *, across_splits: bool = False) -> GroupComparison:
    """Group runs that have a score by an option or a tag, and hold the groups against each other.

    Args:
        runs: those without a final score are left out and counted.
        by: name of an option, or of a tag that some of the runs carry.
        across_splits: pool scores on different validation receipts; otherwise only the largest set counts.

    Raises:
        ConfigurationError: `by` is neither an option nor a tag of these runs.
    """
    by = find_option(by, {tag for run in runs for tag in run.tags})
    chosen = _choose(runs, by, across_splits=across_splits)
    members: dict[str, list[RunSummary]] = defaultdict(list)
    for run in chosen.runs:
        members[text_of(_value(run, by))].append(run)
    groups = [_describe(text, by, same) for text, same in members.items()]
    groups.sort(key=lambda group: group.scores.mean, reverse=True)
    confounders = find_confounders(members, without=by)
    return GroupComparison(
        by=by,
        validation=chosen.validation,
        groups=tuple(groups),
        pairs=compare_pairs({group.text: [run.best_f1 for run in group.runs] for group in groups}),
        confounders=confounders,
        left_out=tuple(
            LeftOut(why=why, runs=tuple(run.name for run in out)) for why, out in chosen.left_out.items()
        ),
        notes=(
            *_note_receipts(chosen),
            *(f"Left out, {why}: {len(out)} ({name_some(out)})." for why, out in chosen.left_out.items()),
            *_note_groups(by, groups),
            *_note_confounders(confounders),
        ),
    )


def _choose(runs: Sequence[RunSummary], by: str, *, across_splits: bool) -> _Chosen:
    left_out = {"no final score": [run for run in runs if run.best_f1 is None]}
    scored = [run for run in runs if run.best_f1 is not None]
    if by not in OPTIONS:
        left_out[f"no tag {by}"] = [run for run in scored if by not in run.tags]
        scored = [run for run in scored if by in run.tags]
    sets = by_validation(scored)
    if not across_splits:
        scored = next((same for validation, same in sets.items() if validation is not None), [])
        for validation, same in sets.items():
            if same is not scored:
                why = "not known on which receipts" if validation is None else f"scored on {validation}"
                left_out[why] = same
    return _Chosen(scored, {why: out for why, out in left_out.items() if out}, sets)


def _value(run: RunSummary, by: str) -> Any:
    return settings_of(run.config)[by] if by in OPTIONS else run.tags[by]


def _describe(text: str, by: str, runs: Sequence[RunSummary]) -> RunGroup:
    scored = [GroupRun(job_id=run.job_id, name=run.name, best_f1=run.best_f1 or 0.0) for run in runs]
    return RunGroup(
        value=_value(runs[0], by),
        text=text,
        scores=summarize([run.best_f1 for run in scored]),
        runs=tuple(sorted(scored, key=lambda run: run.best_f1, reverse=True)),
    )


def _note_receipts(chosen: _Chosen) -> list[str]:
    if not chosen.runs:
        return ["There is no run with a score of which it is known on which receipts it was scored."]
    if chosen.validation is not None:
        which = "the largest set of runs" if len(chosen.sets) > 1 else "all runs"
        return [f"Scored on the same validation receipts ({chosen.validation}): {which}, {len(chosen.runs)}."]
    known = sum(one is not None for one in chosen.sets)
    unknown = len(chosen.sets.get(None, ()))
    whose = f"{known} known sets of validation receipts, {unknown} runs that do not say"
    return [f"Scores are pooled as was asked ({whose}): a difference may come from the receipts alone."]


def _note_groups(by: str, groups: Sequence[RunGroup]) -> list[str]:
    said = []
    if len(groups) == 1:
        said.append(f"All of these runs have {by} {groups[0].text}: there is nothing to compare.")
    if any(LEAST_RUNS <= group.scores.n < ENOUGH_RUNS for group in groups):
        said.append(
            f"Of fewer than {ENOUGH_RUNS} runs, an interval of the mean is too narrow: of three it holds "
            "the true one about 7 times in 10, and not 95 in 100."
        )
    return said


def _note_confounders(confounders: Sequence[Confounder]) -> list[str]:
    if not confounders:
        return []
    names = ", ".join(one.setting for one in confounders)
    return [f"The groups differ in more than this: {names}. A difference may come from these as well."]
