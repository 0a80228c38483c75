"""Advice on labels and merges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from run_analysis.advice.proposal import AdviceContext, RestsOn, SettingChange
from run_analysis.dataset_statistics import DatasetStatistics, LabelStatistics
from run_analysis.findings.label_faults import LEAST_WORDS, count_words
from run_records.labels import CORE_LABELS, MERGE_PRESETS

_F1 = "f1 "
_PRESETS = {
    "merge_amounts": "amounts",
    "merge_date_time": "date_time",
    "merge_address_phone": "address_phone",
}


def propose_labels(situation: AdviceContext) -> Iterator[SettingChange]:
    """Take labels with too few words together with what is like them; leave out what nothing is like."""
    names, scarce = _learned(situation), _scarce(situation)
    if not scarce:
        return
    rests_on: RestsOn = "this run" if situation.run else "the data"
    merged: dict[str, str] = {}
    for flag, target, group in _mergeable(situation, names, scarce):
        merged |= dict.fromkeys(group, target)
        few = ", ".join(name for name in group if name in scarce)
        reason = f"{few}: fewer than {LEAST_WORDS} training words; {', '.join(group)} are alike."
        yield situation.change(flag, True, reason, rests_on)
    left_out = [name for name in scarce if name not in merged]
    kept = tuple(dict.fromkeys(merged.get(name, name) for name in names if name not in left_out))
    if kept and (left_out or situation.options.allowed_labels is not None):
        reason = (
            f"{', '.join(left_out)}: fewer than {LEAST_WORDS} training words, too few to learn from."
            if left_out
            else "The labels under the names that they are merged into."
        )
        yield situation.change("allowed_labels", kept, reason, rests_on)


def note_labels(situation: AdviceContext) -> Iterator[str]:
    """Labels that have become frequent enough, and those that need more."""
    statistics = situation.statistics
    if statistics is None:
        return
    names = _learned(situation)
    sources = {
        source for group in (situation.run.label_merges if situation.run else {}).values() for source in group
    }
    ample = [
        f"{one.label} ({one.words} words on {one.receipts} receipts)"
        for one in statistics.labels
        if one.words >= LEAST_WORDS and one.label not in {*names, *sources}
    ]
    if ample:
        yield f"There are enough examples to learn {', '.join(ample)} as well: add them to allowed_labels."
    few = [f"{one.label} ({one.words})" for one in _core(statistics, names) if one.words < LEAST_WORDS]
    if few:
        yield f"To be learned, a label takes about {LEAST_WORDS} VALID words; too few have {', '.join(few)}."


def _learned(situation: AdviceContext) -> Sequence[str]:
    return situation.run.labels if situation.run else tuple(CORE_LABELS)


def _scarce(situation: AdviceContext) -> list[str]:
    """Labels that were not learned for want of words; before the first run, those that have too few."""
    if situation.run is None or situation.case is None:
        found = _core(situation.statistics, tuple(CORE_LABELS)) if situation.statistics else ()
        return [one.label for one in found if one.words < LEAST_WORDS]
    words = count_words(situation.case)
    unlearned = {
        evidence.name.removeprefix(_F1)
        for finding in situation.findings
        if finding.kind == "label_never_learns"
        for evidence in finding.evidence
        if evidence.name.startswith(_F1)
    }
    return [
        name
        for name in situation.run.labels
        if name in unlearned
        and words.get(name, LEAST_WORDS) < LEAST_WORDS
        and not _is_ample_now(situation, name)
    ]


def _is_ample_now(situation: AdviceContext, name: str) -> bool:
    """Whether so many words have been validated since the run that it can be learned."""
    now = situation.statistics.label(name) if situation.statistics else None
    return now is not None and now.words >= LEAST_WORDS


def _mergeable(
    situation: AdviceContext, names: Sequence[str], scarce: Iterable[str]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Flag, target and labels of each merge of which a label is scarce and another one is not."""
    options = situation.options
    if options.label_merges is not None or options.merge_preset is not None or situation.run is None:
        return
    for flag, preset in _PRESETS.items():
        for target, sources in MERGE_PRESETS[preset].items():
            group = tuple(name for name in dict.fromkeys((target, *sources)) if name in names)
            is_some = any(name in scarce for name in group) and not all(name in scarce for name in group)
            if is_some and not getattr(options, flag):
                yield flag, target, group


def _core(statistics: DatasetStatistics, names: Sequence[str]) -> list[LabelStatistics]:
    return [one for one in statistics.labels if one.label in names]
