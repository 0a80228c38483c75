"""Runs as trainings leave them, made up with dice that fall the same again: facts, and the records of them.

Two attempts: the first is interrupted after four tenths of the epochs, the second goes on from there.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from messages.hyperparameters import Hyperparameters
from receipt_dynamo.clock import write_time
from receipt_layoutlm.data.receipts import Word
from receipt_layoutlm.data.synthetic.generator import make_receipt
from receipt_layoutlm.data.table_writer import receipt_of
from run_analysis.job_records import CheckpointFacts, ExportFacts, StatusFacts
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary
from run_records.epoch_record import EpochFacts
from run_records.predictions_json import PredictionsFile, ReceiptPrediction, WordPrediction
from tests.support.evaluations import BEGIN, LABELS, PAUSE, attempt_ends, make_epochs, moment_of

BUCKET = "layoutlm-training"


def make_detail(
    epochs: int = 10,
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    *,
    name: str = "receipts-a",
    status: str = "succeeded",
    bucket: str = BUCKET,
    **config: Any,
) -> RunDetail:
    """A run of so many epochs; `config` are hyperparameters that are not the default."""
    config["epochs"] = max(epochs, 1)
    options = Hyperparameters(**config).model_dump(mode="json")
    history = make_epochs(epochs, labels, seed)
    best = max(history, key=lambda one: one.eval_f1 or 0.0, default=None)
    job_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name} {seed}"))
    place = f"s3://{bucket}/runs/{name}/"
    return RunDetail(
        run=_summarise(job_id, name, status, place, labels, config, best),
        config=options | {"resolved_precision": "bf16"},
        epochs=history,
        dataset_counts={
            "train_receipts": 412,
            "val_receipts": 96,
            "train_windows": 640,
            "val_windows": 141,
            "labels_train": {label: 1600 // (at + 1) for at, label in enumerate(labels)},
            "labels_val": {label: 380 // (at + 1) for at, label in enumerate(labels)},
        },
        data_config={"source": "table", "dataset_hash": f"{seed:04x}c0ffee", "box_rule": "hull"},
        labels=tuple(labels),
        num_val_receipts=96,
        statuses=_statuses(history, status),
        checkpoints=_checkpoints(history, best, place),
        exports=_exports(job_id, name, bucket) if status == "succeeded" else (),
        attempts=2,
    )


def make_predictions(
    detail: RunDetail, receipts: int = 5, words: int = 400, seed: int = 0
) -> PredictionsFile:
    """What the best checkpoint says about synthetic receipts, cut after so many words; the worst first."""
    dice = Random(seed)  # noqa: S311 - dice that have to fall the same again
    made = sorted(
        (_receipt(number, words, seed, dice) for number in range(receipts)), key=lambda one: one.f1 or 0.0
    )
    best = detail.best
    return PredictionsFile(
        job_name=detail.run.name,
        checkpoint=f"checkpoint-{best.global_step if best else 0}",
        step=best.global_step if best else 0,
        epoch=best.epoch if best else 0,
        receipts=tuple(made),
    )


def _receipt(number: int, words: int, seed: int, dice: Random) -> ReceiptPrediction:
    receipt = receipt_of(make_receipt(seed, number).draft)
    said = _predict(receipt.words[:words], dice)
    wrong = sum(word.gold != word.predicted for word in said)
    return ReceiptPrediction(
        key=receipt.key,
        merchant=next((word.text for word in said if word.gold == "B-MERCHANT_NAME"), None),
        seen=number % 3 > 0,
        f1=1 - wrong / len(said),
        wrong_words=wrong,
        words=tuple(said),
    )


def _predict(words: Sequence[Word], dice: Random) -> list[WordPrediction]:
    """True tags, and of each tenth word another one predicted."""
    made, before = [], None
    for word in words:
        gold = f"{'I' if word.label == before else 'B'}-{word.label}" if word.label else "O"
        before, wrong = word.label, dice.random() < 0.1
        made.append(
            WordPrediction(
                line_id=word.line_id,
                word_id=word.word_id,
                text=word.text,
                box=word.box,
                gold=gold,
                predicted=dice.choice(("O", "B-DATE", "B-TAX", "I-PRODUCT_NAME")) if wrong else gold,
                confidence=round(dice.uniform(0.4, 0.8) if wrong else dice.uniform(0.9, 1), 3),
            )
        )
    return made


def _statuses(history: Sequence[EpochFacts], status: str) -> tuple[StatusFacts, ...]:
    epochs = len(history)
    broken = moment_of(attempt_ends(epochs), epochs) + timedelta(seconds=20)
    changes = [
        (BEGIN, "pending", None, None, None),
        (BEGIN + timedelta(seconds=40), "running", 1, "worker-a", None),
        (broken, "interrupted", 1, "worker-a", "spot interruption notice"),
        (broken + PAUSE - timedelta(minutes=1), "running", 2, "worker-b", None),
    ]
    if status not in {"running", "pending", "interrupted"}:
        message = None if status == "succeeded" else f"The run has {status}."
        changes.append(
            (moment_of(epochs, epochs) + timedelta(seconds=50), status, 2, "worker-b", message),
        )
    return tuple(
        StatusFacts(at=write_time(at), status=now, attempt=attempt, worker=worker, message=message)
        for at, now, attempt, worker, message in changes
    )


def _checkpoints(
    history: Sequence[EpochFacts], best: EpochFacts | None, place: str
) -> tuple[CheckpointFacts, ...]:
    return tuple(
        CheckpointFacts(
            at=write_time(moment_of(one.epoch, len(history)) + timedelta(seconds=12)),
            step=one.global_step,
            epoch=one.epoch,
            s3_uri=f"{place}checkpoints/checkpoint-{one.global_step}/",
            size_bytes=1_352_400_000,
            is_best=one is best,
            attempt=one.attempt,
        )
        for one in history
    )


def _exports(job_id: str, name: str, bucket: str) -> tuple[ExportFacts, ...]:
    return (
        ExportFacts(
            export_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"export of {job_id}")),
            status="SUCCEEDED",
            quantize="float16",
            bundle_s3_uri=f"s3://{bucket}/coreml/{name}/",
            model_size_bytes=226_000_000,
            created_at=write_time(BEGIN + timedelta(hours=1)),
        ),
    )


def _summarise(
    job_id: str,
    name: str,
    status: str,
    place: str,
    labels: Sequence[str],
    config: dict[str, Any],
    best: EpochFacts | None,
) -> RunSummary:
    return RunSummary(
        job_id=job_id,
        name=name,
        status=status,
        created_at=write_time(BEGIN),
        attempt=2,
        error_message="The run has failed." if status == "failed" else None,
        config=config,
        run_s3_uri=place,
        num_labels=2 * len(labels) + 1,
        label_list=("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI")),
        **(_results(best, place, config["epochs"]) if best and status == "succeeded" else {}),
    )


def _results(best: EpochFacts, place: str, epochs: int) -> dict[str, Any]:
    return {
        "best_f1": best.eval_f1,
        "best_f1_interval": best.eval_f1_interval,
        "best_f1_constrained": best.eval_f1_constrained,
        "best_epoch": best.epoch,
        "epochs_trained": epochs,
        "early_stopping_triggered": False,
        "train_runtime": 150.0 * epochs,
        "total_flos": 3.1e14 * epochs,
        "samples_per_second": 33.0,
        "cost_usd": 0.0219 * epochs,
        "best_checkpoint_s3_path": f"{place}best/",
        "metrics_comparable": True,
        "comparability_reason": "The validation receipts are pinned.",
        "val_keys_s3": f"{place}val.json",
        "val_split_source": "persisted_val_receipt_keys",
        "val_receipts_hash": "5f1c0d9ab3e74822",
        "train_receipts": 412,
    }
