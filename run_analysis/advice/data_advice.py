"""Advice on data."""

from __future__ import annotations

from collections.abc import Iterator

from messages.fields import S3Uri
from messages.hyperparameters import Hyperparameters
from run_analysis.advice.proposal import AdviceContext, SettingChange
from run_analysis.findings.run_context import read_options

_FEW_EVALUATIONS = 3
_WANTED_EVALUATIONS = 6
# Worth 5 points on merchants that training has not seen, docs/training.md.
_NAMES = 0.5


def propose_data(situation: AdviceContext) -> Iterator[SettingChange]:
    """A pinned validation split where another run has one, and a run that begins anew."""
    options, run = situation.options, situation.run
    if run is None:
        return
    pinned = next((one.val_keys_s3 for one in situation.history if one.val_keys_s3), None)
    if options.val_keys_s3 is None and pinned:
        reason = "Only runs that are scored on the same receipts can be compared; earlier ones are on these."
        yield situation.change("val_keys_s3", pinned, reason, "earlier runs")
        yield situation.change("no_frozen_val", False, reason, "earlier runs")
    if options.resume_from_s3:
        reason = "Its optimizer and schedule are those of the old options; new ones begin anew."
        yield situation.change("resume_from_s3", None, reason, "general practice")
    unseen = situation.finding("unseen_merchants")
    if unseen and options.augment_names < _NAMES:
        yield situation.change("augment_names", _NAMES, unseen.says, "this run")


def propose_snapshot(situation: AdviceContext) -> Iterator[SettingChange]:
    """Receipts frozen once and read again by each repeated run."""
    run, options = situation.run, situation.options
    if run is None or options.dataset_snapshot_load or not run.run.run_s3_uri:
        return
    others = [theirs for theirs in _others(situation) if theirs.receipt_keys_s3 == options.receipt_keys_s3]
    saved = (one.dataset_snapshot_save or one.dataset_snapshot_load for one in (options, *others))
    known = next((place for place in saved if place), None)
    if known and situation.faster:
        reason = (
            "The receipts are read from one file instead of the table; labels validated since are not in it."
        )
        yield situation.change("dataset_snapshot_load", known, reason, "earlier runs")
    if known and (situation.faster or options.dataset_snapshot_save):
        reason = "The snapshot stays as it is, so that runs that load it have the same receipts."
        yield situation.change("dataset_snapshot_save", None, reason, "general practice")
    if not known and (situation.faster or others):
        reason = (
            f"{len(others) + 1} runs have read such receipts from the table; the next ones can load them."
        )
        place = f"s3://{S3Uri.parse(run.run.run_s3_uri).bucket}/snapshots/{run.run.name}.parquet"
        yield situation.change("dataset_snapshot_save", place, reason, "earlier runs")


def propose_cadence(situation: AdviceContext) -> Iterator[SettingChange]:
    """Several evaluations an epoch where a run of few epochs would have too few to choose from."""
    case, options = situation.case, situation.options
    if case is None or options.eval_steps is not None or not case.steps_per_epoch:
        return
    short = situation.finding("underfitting")
    if options.epochs <= _FEW_EVALUATIONS and not short:
        steps = max(round(case.steps_per_epoch * options.epochs / _WANTED_EVALUATIONS), 1)
        reason = (
            f"{options.epochs} evaluations are few to choose the best from; this gives {_WANTED_EVALUATIONS}."
        )
        yield situation.change("eval_steps", steps, reason, "general practice")


def note_data(situation: AdviceContext) -> Iterator[str]:
    """Notes on pinning the split, where no run has a list yet, and on faults of the data."""
    run, statistics = situation.run, situation.statistics
    if run and run.run.metrics_comparable is False and not any(one.val_keys_s3 for one in situation.history):
        place = run.run.run_s3_uri or "s3://BUCKET/runs/NAME/"
        yield (
            "Pin the validation receipts before the next run: "
            f"aws s3 cp {place}run.json - | jq '{{val_receipt_keys: .split_metadata.val_receipt_keys}}' | "
            f"aws s3 cp - {place}val.json, and add --val-keys-s3 {place}val.json in place of no_frozen_val."
        )
    if statistics and statistics.words_in_conflict:
        yield f"{statistics.words_in_conflict} words have several VALID labels, of which one counts."
    if run is None and statistics and statistics.receipts_labelled == 0:
        yield "No receipt has a VALID label yet: validate some before the first run."


def _others(situation: AdviceContext) -> list[Hyperparameters]:
    """The hyperparameters of the other comparable runs."""
    own = situation.run.run.job_id if situation.run else None
    return [read_options(other.config) for other in situation.comparable if other.job_id != own]
