"""Documents that a run leaves: sample predictions, `epochs.json`, report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from receipt_dynamo.entities.field_types import JobState
from receipt_dynamo.errors import NotFound
from receipt_layoutlm.data.merchants import merchant_of
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.split import Split
from receipt_layoutlm.evaluation.checkpoint_scores import describe_epochs, split_labels, spread_evenly
from receipt_layoutlm.evaluation.decoding import Probabilities
from receipt_layoutlm.evaluation.entity_scores import score_counts
from receipt_layoutlm.evaluation.evaluate import Evaluation, HeldOut
from receipt_layoutlm.training.checkpoint_store import checkpoint_name
from receipt_layoutlm.training.run_state import Run
from run_records.epoch_record import EpochRecord
from run_records.epochs_json import EpochScores, EpochsFile
from run_records.predictions_json import PredictionsFile, ReceiptPrediction, WordPrediction
from run_records.run_json import RunRecord

log = logging.getLogger(__name__)


def write_final_report(run: Run, status: JobState, results: dict[str, Any], error: str | None = None) -> None:
    """Write `report.html` beside `run.json`, as if the daemon had already noted how the run ended.

    A failure is no failure of the run: it is logged, for people beside the run's other lines, too.
    """
    with run.pulse.working("reporting"):
        try:
            _write(run, status, results, error)
        except NotFound:
            log.warning("no report.html: the job's record is gone from the table")
        except Exception as failure:
            log.exception("report.html was not written")
            run.recorder.record_fault(f"report.html was not written: {failure}")


def _write(run: Run, status: JobState, results: dict[str, Any], error: str | None) -> None:
    # Here, because drawing takes a second to load that a run which is stopped does not have.
    from run_analysis.report.build import report_of, write_report  # noqa: PLC0415
    from run_analysis.run import describe_job  # noqa: PLC0415

    client = run.recorder.client
    job = client.get_job(run.config.job_id)
    ended = replace(job, status=status, results={**job.results, **results}, error_message=error)
    detail = describe_job(client, run.storage, ended)
    write_report(run.storage, detail, report_of(run.storage, detail))


def describe_history(
    description: dict[str, Any], root: str, history: Sequence[EpochRecord], split: Split
) -> EpochsFile:
    """The document of a run; how long the evaluations took is not known, so those fields are null.

    Args:
        description: what `run.json` says beside the epochs.
        root: S3 folder of the run.
        history: its evaluations, each of which has a checkpoint.
        split: whose validation side was evaluated.
    """
    epochs = [_entry(record, len(split.validation)) for record in history]
    return describe_epochs(
        RunRecord.model_validate(description), root, epochs, split.val_hash, split.val_keys
    )


def _entry(record: EpochRecord, receipts: int) -> EpochScores:
    interval = record.eval_f1_interval
    return EpochScores(
        checkpoint=checkpoint_name(record.global_step),
        step=record.global_step,
        epoch=record.epoch,
        heldout_f1=record.eval_f1,
        heldout_precision=record.eval_precision,
        heldout_recall=record.eval_recall,
        token_accuracy=record.token_accuracy,
        **split_labels(record.per_label_metrics),
        entity_prediction_rate=record.entity_prediction_rate,
        gold_entity_rate=record.gold_entity_rate,
        training_reported_f1=record.eval_f1,
        num_receipts_evaluated=receipts,
        diagnostics={
            "eval_loss": record.eval_loss,
            "f1_interval": None if interval is None else interval.model_dump(),
            "f1_strict": record.eval_f1_strict,
            "f1_constrained": record.eval_f1_constrained,
            "precision_constrained": record.eval_precision_constrained,
            "recall_constrained": record.eval_recall_constrained,
            "per_label_f1_constrained": {
                name: scores.f1 for name, scores in record.per_label_constrained.items()
            },
            "by_merchant": {name: scores.model_dump() for name, scores in record.by_merchant.items()},
            "confusion": record.confusion,
        },
    )


WORST = 20
MOST_WORDS = 400
"""Most words of one receipt that are written; bounded, because browsers read the file."""


def describe_predictions(
    job_name: str,
    record: EpochRecord,
    receipts: Sequence[Receipt],
    held_out: HeldOut,
    evaluation: Evaluation,
) -> PredictionsFile:
    """Write down the receipts with most wrong words, and those that dashboards show of every run.

    Args:
        job_name: of the run.
        record: the evaluation that these predictions are of.
        receipts: the validation receipts, in the order of `held_out`.
        held_out: the same, as the model reads them.
        evaluation: what the model said of them.
    """
    shown = [
        _describe(number, receipts, held_out, evaluation)
        for number in _choose(receipts, held_out, evaluation)
    ]
    return PredictionsFile(
        job_name=job_name,
        checkpoint=checkpoint_name(record.global_step),
        step=record.global_step,
        epoch=record.epoch,
        receipts=tuple(sorted(shown, key=lambda one: -one.wrong_words)),
    )


def _choose(receipts: Sequence[Receipt], held_out: HeldOut, evaluation: Evaluation) -> list[int]:
    wrong = [
        sum(said != true for said, true in zip(tags.argmax(axis=1), page.tags, strict=True))
        for tags, page in zip(evaluation.probabilities, held_out.encoded.pages, strict=True)
    ]
    worst = sorted((number for number, count in enumerate(wrong) if count), key=lambda number: -wrong[number])
    by_key = {receipt.key: number for number, receipt in enumerate(receipts)}
    showcase = [by_key[key] for key in spread_evenly(sorted(by_key))]
    return list(dict.fromkeys([*worst[:WORST], *showcase]))


def _describe(
    number: int, receipts: Sequence[Receipt], held_out: HeldOut, evaluation: Evaluation
) -> ReceiptPrediction:
    receipt, probabilities = receipts[number], evaluation.probabilities[number]
    words = _words(receipt, held_out, number, probabilities)
    counts = evaluation.counts.of([number]).total
    return ReceiptPrediction(
        key=receipt.key,
        merchant=receipt.merchant or merchant_of(receipt),
        seen=held_out.seen[number] if held_out.seen else None,
        f1=score_counts(counts).f1 if counts.any() else None,
        wrong_words=sum(word.gold != word.predicted for word in words),
        words=tuple(words[:MOST_WORDS]),
        words_left_out=max(len(words) - MOST_WORDS, 0),
    )


def _words(
    receipt: Receipt, held_out: HeldOut, number: int, probabilities: Probabilities
) -> list[WordPrediction]:
    page, tags = held_out.encoded.pages[number], held_out.labels.tags
    chosen = probabilities.argmax(axis=1)
    return [
        WordPrediction(
            line_id=receipt.words[place].line_id,
            word_id=receipt.words[place].word_id,
            text=receipt.words[place].text,
            box=receipt.words[place].box,
            gold=tags[gold],
            predicted=tags[said],
            confidence=round(float(row[said]), 4),
        )
        for place, gold, said, row in zip(page.order, page.tags, chosen, probabilities, strict=True)
    ]
