"""Detects failure modes, contradictory labels included."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from receipt_layoutlm.data.merchants import normalise_merchant as normalise_text
from receipt_layoutlm.diagnosis.entity_errors import entity_bounds, line_item_structure
from receipt_layoutlm.diagnosis.error_cases import ErrorCases, WordError
from receipt_layoutlm.diagnosis.evidence import (
    LEAST_ENTITIES,
    LEAST_ERRORS,
    LEAST_RECEIPTS,
    LOW_F1,
    NAMED,
    FailureMode,
    most_frequent,
)
from receipt_layoutlm.evaluation.bootstrap import compare_f1, contrast_f1, f1_interval
from receipt_layoutlm.evaluation.decoding import label_of
from receipt_layoutlm.evaluation.entity_scores import EntityCounts, score_counts
from run_records.labels import OUTSIDE
from run_records.scores import LabelScores

LEAST_CONFIDENCE = 0.9
LEAST_CONTRADICTING = 3
LEAST_AGREEMENT = 0.8
"""Share of the other receipts' words of that text that have the label which the model says."""
_LEAST_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A word labelled `here`, while its text has the label `elsewhere` on so many other receipts."""

    receipt: str
    text: str
    here: str
    elsewhere: str
    receipts: int


def find_contradictions(cases: ErrorCases) -> list[Contradiction]:
    """Wrong words of which the model says surely what the same text is labelled on other receipts."""
    known = _labels_by_text(cases)
    return [found for error in cases.errors if (found := _contradiction(error, known)) is not None]


def _contradiction(error: WordError, known: dict[str, dict[str, Counter[str]]]) -> Contradiction | None:
    text = normalise_text(error.text)
    here, said = (label_of(tag) or OUTSIDE for tag in (error.gold, error.predicted))
    if here == said or error.confidence < LEAST_CONFIDENCE or not _has_letters(text):
        return None
    others = [labels for receipt, labels in known[text].items() if receipt != error.receipt]
    agreeing = sum(said in labels for labels in others)
    words = sum(labels.total() for labels in others)
    alike = sum(labels[said] for labels in others)
    if agreeing < LEAST_CONTRADICTING or alike < LEAST_AGREEMENT * words:
        return None
    return Contradiction(error.receipt, error.text, here, said, agreeing)


def _labels_by_text(cases: ErrorCases) -> dict[str, dict[str, Counter[str]]]:
    """Text to receipt to how often each label stands on it there."""
    known: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for case in cases.cases:
        for text, tag in zip(case.page.texts, case.page.tags, strict=True):
            known[normalise_text(text)][case.receipt.key][label_of(cases.labels.tags[tag]) or OUTSIDE] += 1
    return known


def _has_letters(text: str) -> bool:
    return sum(char.isalpha() for char in text) >= _LEAST_LETTERS


_SAME = 1e-9


def find_modes(cases: ErrorCases) -> list[FailureMode]:
    """The failure modes that there is evidence of."""
    return [finding for mode in _MODES if (finding := mode(cases)) is not None]


def template_coverage(cases: ErrorCases) -> FailureMode | None:
    """Receipts of merchants that training has not seen are read worse."""
    seen, unseen = cases.where_seen(seen=True), cases.where_seen(seen=False)
    if min(len(seen), len(unseen)) < LEAST_RECEIPTS:
        return None
    known, new = cases.counts_of(seen), cases.counts_of(unseen)
    comparison = contrast_f1(known, new)
    if comparison.interval.low <= 0:
        return None
    lost = [len(case.lost) for case in cases.cases]
    scores = [score_counts(counts.total).f1 for counts in (known, new)]
    worst = sorted(unseen, key=lambda index: (-lost[index], cases.cases[index].receipt.key))[:NAMED]
    return FailureMode(
        mode="template coverage",
        says=f"Merchants that were not in training have F1 {scores[1]:.3f}, those that were {scores[0]:.3f}: "
        f"{comparison.difference:.3f} less, {comparison.interval.low:.3f} to "
        f"{comparison.interval.high:.3f} in 95 % of resamples.",
        advice="Label receipts of more merchants, those named here first.",
        numbers={
            "f1_seen": scores[0],
            "f1_unseen": scores[1],
            "difference_low": comparison.interval.low,
            "difference_high": comparison.interval.high,
            "receipts_seen": len(seen),
            "receipts_unseen": len(unseen),
            "share_of_lost_entities": sum(lost[index] for index in unseen) / max(sum(lost), 1),
        },
        receipts=tuple(cases.cases[index].receipt.key for index in worst),
        examples=tuple(
            dict.fromkeys(name for index in worst if (name := cases.cases[index].merchant) is not None)
        ),
    )


def label_mismatch(cases: ErrorCases) -> FailureMode | None:
    """The true labels contradict each other: the model says what the same text is labelled elsewhere."""
    found = find_contradictions(cases)
    if len(found) < LEAST_ERRORS:
        return None
    errors = len(cases.errors)
    return FailureMode(
        mode="label mismatch",
        says=f"{len(found)} of {errors} wrong words are labelled otherwise than the same text is on other "
        "receipts, and the model says, surely, what it is there.",
        advice="Look at these words and correct their labels, or agree on a rule for them.",
        numbers={"words": len(found), "share_of_wrong_words": len(found) / max(errors, 1)},
        receipts=most_frequent([one.receipt for one in found]),
        examples=most_frequent(
            [
                f"{one.text}: {one.here} here, {one.elsewhere} on {one.receipts} other receipts"
                for one in found
            ]
        ),
    )


def evaluation_mismatch(cases: ErrorCases) -> FailureMode | None:
    """The score depends on how it is computed: on the decoding, or on when it was."""
    evaluation, recorded = cases.evaluation, cases.recorded_f1
    gain = compare_f1(evaluation.constrained_counts, evaluation.counts)
    says: list[str] = []
    numbers: dict[str, int | float] = {
        "f1": evaluation.scores.f1,
        "f1_constrained": evaluation.constrained.f1,
    }
    if gain.interval.low > 0:
        says.append(
            f"Decoding that keeps to BIO has F1 {evaluation.constrained.f1:.3f}, each word by itself "
            f"{evaluation.scores.f1:.3f}: tags that cannot follow each other cost {gain.difference:.3f}."
        )
        numbers |= {"gain_low": gain.interval.low, "gain_high": gain.interval.high}
    if recorded is not None and abs(recorded - evaluation.scores.f1) > _SAME:
        says.append(
            f"The training recorded F1 {recorded:.4f} for this checkpoint, and now it is "
            f"{evaluation.scores.f1:.4f}: other receipts or labels, or the arithmetic of another machine."
        )
        numbers["f1_recorded"] = recorded
    if not says:
        return None
    return FailureMode(
        mode="evaluation mismatch",
        says=" ".join(says),
        advice="Decode with the transitions of label_map.json; score on the snapshot of the run.",
        numbers=numbers,
        receipts=tuple(case.receipt.key for case in cases.cases if case.plain != case.constrained)[:NAMED],
    )


def model_weakness(cases: ErrorCases) -> FailureMode | None:
    """Labels are read badly, all or some of them, where merchants are known and so no excuse."""
    known = cases.where_seen(seen=True)
    chosen = known if len(known) >= LEAST_RECEIPTS else list(range(len(cases.cases)))
    counts = cases.counts_of(chosen)
    overall, interval = score_counts(counts.total), f1_interval(counts)
    weak = _weak_labels(counts, max(overall.f1, LOW_F1))
    if not weak:
        return None
    lost = [case.receipt.key for case in cases.cases for label, _, _ in case.lost if label in weak]
    return FailureMode(
        mode="model weakness",
        says=f"{', '.join(weak)}: in 95 % of resamples worse than {max(overall.f1, LOW_F1):.3f}, while all "
        f"labels have {overall.f1:.3f} ({interval.low:.3f} to {interval.high:.3f}) on these {len(chosen)} "
        f"receipts{', whose merchants were in training' if chosen is known else ''}.",
        advice="Label more of them, train longer, or start from a larger or pretrained model.",
        numbers={
            "f1_all": overall.f1,
            **{f"f1_{name}": scores.f1 for name, scores in weak.items()},
            **{f"entities_{name}": scores.support for name, scores in weak.items()},
        },
        receipts=most_frequent(lost),
        examples=most_frequent(
            [f"{error.gold} as {error.predicted}" for error in cases.errors if label_of(error.gold) in weak]
        ),
    )


def _weak_labels(counts: EntityCounts, f1: float) -> dict[str, LabelScores]:
    """Labels whose F1 is hardly by luck below another one, the worst first."""
    weak = {}
    for name in counts.names:
        own = counts.of_label(name)
        scores = score_counts(own.total)
        if scores.support >= LEAST_ENTITIES and f1_interval(own).high < f1:
            weak[name] = scores
    return dict(sorted(weak.items(), key=lambda one: one[1].f1))


_MODES: tuple[Callable[[ErrorCases], FailureMode | None], ...] = (
    template_coverage,
    line_item_structure,
    entity_bounds,
    label_mismatch,
    evaluation_mismatch,
    model_weakness,
)
