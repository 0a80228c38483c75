"""Detects weak scores on unseen merchants and runs that cannot be compared."""

from __future__ import annotations

import math

from run_analysis.findings.finding import Evidence, Finding
from run_analysis.findings.run_context import RunContext
from run_analysis.findings.series import Series

_LEAST = 3
_OVER, _UNDER = 1.25, 0.8
"""Words found for one that is there: a quarter too many, a fifth too few is more than words at edges make."""

_RECEIPT_DEVIATION = 0.25
"""Approximate standard deviation of F1 between receipts; about half of them are read without a fault."""
_SURE = 2.0
_WORSE = 0.05
_NAMED = 5


def find_unscorable(case: RunContext) -> Finding | None:
    """No validation receipt has an entity: every score is 0, whatever the model has learned."""
    if not case.run.epochs:
        return None
    last = case.run.epochs[-1]
    supports = [scores.support for scores in last.per_label_metrics.values()]
    if any(supports) or last.gold_entity_rate or (last.gold_entity_rate is None and not supports):
        return None
    return Finding(
        kind="nothing_to_score",
        severity="serious",
        says="No validation receipt has a word with a label of the run, so F1, precision and recall are 0 "
        "whatever the model has learned, and the best checkpoint is a matter of chance.",
        evidence=(
            Evidence(name="support of all labels", value=float(sum(supports))),
            Evidence(name="best_f1", value=case.best_f1),
            Evidence(name="val_keys_s3", value=case.options.val_keys_s3 or "not set"),
        ),
        remedy="Name receipts with VALID labels of the run in the list of val_keys_s3, or validate labels on "
        "those that it names.",
        since_epoch=case.run.epochs[0].epoch,
    )


def find_over_prediction(case: RunContext) -> Finding | None:
    """The model finds more than there is."""
    ratios = _ratios(case)
    if len(ratios) < _LEAST or min(ratios.values) <= _OVER:
        return None
    return Finding(
        kind="over_prediction",
        severity="warning",
        says=f"The model finds {ratios.last:.2f} words of entities for each one that there is.",
        evidence=(ratios.evidence(),),
        remedy="Set class_weights none and leave out o_entity_ratio, and look for entities that nobody has "
        "labelled.",
        since_epoch=ratios.epochs[0],
    )


def find_under_prediction(case: RunContext) -> Finding | None:
    """The model finds less than there is."""
    ratios = _ratios(case)
    if len(ratios) < _LEAST or max(ratios.values) >= _UNDER:
        return None
    return Finding(
        kind="under_prediction",
        severity="warning",
        says=f"The model finds {ratios.last:.2f} words of entities for each one that there is.",
        evidence=(ratios.evidence(),),
        remedy="Set class_weights sqrt, or o_entity_ratio 5, so that words without a label weigh less.",
        since_epoch=ratios.epochs[0],
    )


def find_unseen_merchants(case: RunContext) -> Finding | None:
    """Receipts of merchants that training has none of are read worse, by more than luck."""
    groups = case.run.best.by_merchant if case.run.best else {}
    seen, unseen = groups.get("seen"), groups.get("unseen")
    if seen is None or unseen is None or not (seen.receipts and unseen.receipts):
        return None
    gap = seen.f1 - unseen.f1
    error = _RECEIPT_DEVIATION * math.sqrt(1 / seen.receipts + 1 / unseen.receipts)
    if gap < max(_WORSE, _SURE * error):
        return None
    return Finding(
        kind="unseen_merchants",
        severity="warning",
        says=f"Merchants that training has not seen have F1 {unseen.f1:.3f}, the others {seen.f1:.3f}.",
        evidence=(
            Evidence(name="f1 seen", value=seen.f1),
            Evidence(name="f1 unseen", value=unseen.f1),
            Evidence(name="receipts seen", value=float(seen.receipts)),
            Evidence(name="receipts unseen", value=float(unseen.receipts)),
        ),
        remedy="Label receipts of more merchants; until then set augment_names 0.5, and split_by merchant to "
        "judge what that is worth.",
        since_epoch=case.run.best.epoch if case.run.best else None,
    )


def find_incomparable(case: RunContext) -> Finding | None:
    """The score cannot be held against those of other runs, all or some."""
    return _find_unpinned(case) if case.run.run.metrics_comparable is False else _find_elsewhere(case)


def _find_unpinned(case: RunContext) -> Finding:
    run = case.run.run
    return Finding(
        kind="not_comparable",
        severity="warning",
        says="The validation receipts are not pinned: the score tells of this run's receipts only.",
        evidence=(
            Evidence(name="comparability_reason", value=run.comparability_reason or "not recorded"),
            Evidence(name="val_receipts_hash", value=run.val_receipts_hash or "not recorded"),
        ),
        remedy="Pin them for all runs: write their keys to a JSON in S3 and set val_keys_s3.",
    )


def _find_elsewhere(case: RunContext) -> Finding | None:
    run = case.run.run
    elsewhere = [
        other
        for other in case.others
        if other.job_id != run.job_id
        and set(other.labels) == set(case.run.labels)
        and other.best_f1 is not None
        and None not in {other.validation, run.validation}
        and other.validation != run.validation
    ]
    if not elsewhere:
        return None
    shown = (run, *elsewhere[:_NAMED])
    return Finding(
        kind="not_comparable",
        severity="info",
        says=f"{len(elsewhere)} other runs of the same labels were scored on other validation receipts.",
        evidence=tuple(Evidence(name=f"validation of {one.name}", value=one.validation) for one in shown),
        remedy=f"Set val_keys_s3 {run.val_keys_s3 or 'to one list'} for all of them, or compare only runs of "
        "the same receipts.",
    )


def _ratios(case: RunContext) -> Series:
    """Words found to be in entities over those that are, at the last evaluations."""
    known = [
        (one.epoch, one.entity_prediction_rate / one.gold_entity_rate)
        for one in case.run.epochs
        if one.entity_prediction_rate is not None and one.gold_entity_rate
    ][-_LEAST:]
    return Series("predicted / true", tuple(epoch for epoch, _ in known), tuple(ratio for _, ratio in known))
