"""Chooses the validation receipts whose predictions people get to see, and writes them down word by word."""

from __future__ import annotations

from collections.abc import Sequence

from receipt_layoutlm.data.merchants import merchant_of
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.evaluation.decode import Probabilities
from receipt_layoutlm.evaluation.epochs_file import spread_evenly
from receipt_layoutlm.evaluation.evaluate import Evaluation, HeldOut
from receipt_layoutlm.evaluation.scores import score_counts
from receipt_layoutlm.training.checkpoints import checkpoint_name
from run_records.epoch_record import EpochRecord
from run_records.predictions_json import Predictions, ReceiptPrediction, WordPrediction

WORST = 20
MOST_WORDS = 400
"""Of one receipt that are written down: the file is read by browsers."""


def describe_predictions(
    job_name: str,
    record: EpochRecord,
    receipts: Sequence[Receipt],
    held_out: HeldOut,
    evaluation: Evaluation,
) -> Predictions:
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
    return Predictions(
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
