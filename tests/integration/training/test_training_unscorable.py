"""Validation receipts without one entity: every score would be 0, and nobody would be told why."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from receipt_dynamo import DynamoClient
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.snapshot import save_snapshot
from receipt_layoutlm.data.split import draw_split
from receipt_layoutlm.training.run import train
from run_analysis.findings.find import detect_findings
from run_analysis.run import read_run
from run_records.errors import DataError
from run_records.job_process.child_main import Reporter, StopRequested, classify
from run_records.s3_store import S3Store
from tests.support.small_receipts import make_receipts
from tests.support.small_trainings import MakeTask
from workers.jobs.job_record import job_record

SEED = 42


def without(receipt: Receipt, *labels: str) -> Receipt:
    """The receipt with no word of these labels, or of any."""
    words = tuple(
        replace(word, label=None) if not labels or word.label in labels else word for word in receipt.words
    )
    return replace(receipt, words=words)


def freeze(storage: S3Store, bucket: str, *labels: str) -> tuple[str, list[str]]:
    """A snapshot whose drawn validation receipts lack labels; returns it with their keys."""
    receipts = make_receipts(20)
    drawn = set(draw_split(receipts, SEED).val_keys)
    uri = f"s3://{bucket}/snapshots/unscorable.parquet"
    spoilt = [without(one, *labels) if one.key in drawn else one for one in receipts]
    save_snapshot(storage, uri, spoilt, "test")
    return uri, sorted(drawn)


@pytest.mark.parametrize(
    ("removed", "options"),
    [((), {}), (("DATE", "MERCHANT_NAME"), {"allowed_labels": ["DATE", "MERCHANT_NAME"]})],
)
def test_a_drawn_split_on_which_nothing_could_be_scored_is_refused_before_the_model_is_loaded(
    make_task: MakeTask, storage: S3Store, bucket: str, removed: tuple[str, ...], options: dict[str, object]
) -> None:
    snapshot, _ = freeze(storage, bucket, *removed)
    task = make_task(
        dataset_snapshot_load=snapshot, seed=SEED, pretrained_model="s3://nowhere/model/", **options
    )
    with pytest.raises(
        DataError, match="None of the 2 validation receipts has a word with a label"
    ) as caught:
        train(task, Reporter(None), StopRequested())
    error_class, sentence = classify(caught.value)
    assert not error_class.retryable
    assert "pin receipts that have some by val_keys_s3" in sentence
    assert storage.list_keys(task.run_s3_uri) == {}


def test_pinned_receipts_are_a_choice_that_a_finding_speaks_of(
    make_task: MakeTask,
    storage: S3Store,
    bucket: str,
    client: DynamoClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    snapshot, keys = freeze(storage, bucket)
    pinned = f"s3://{bucket}/pinned.json"
    storage.write(pinned, json.dumps({"val_receipt_keys": keys}).encode())
    task = make_task(
        "pinned", dataset_snapshot_load=snapshot, no_frozen_val=False, val_keys_s3=pinned, epochs=3
    )
    run = storage.place(task.run_s3_uri)
    client.add_job(job_record(task.job, run, status="running"))
    with caplog.at_level(logging.WARNING):
        trained = train(task, Reporter(None), StopRequested())
    assert "They are pinned, so the training goes on" in caplog.text
    assert trained.results["best_f1"] == 0
    [finding, *others] = detect_findings(read_run(client, storage, task.job.job_id))
    assert (finding.kind, finding.severity) == ("nothing_to_score", "serious")
    assert f"val_keys_s3 {pinned}" in map(str, finding.evidence)
    assert {one.kind for one in others} <= {"imbalance", "not_comparable"}


def test_a_run_with_entities_to_find_has_no_such_finding(
    make_task: MakeTask, storage: S3Store, client: DynamoClient
) -> None:
    task = make_task("scored", epochs=3, learning_rate=1e-7)  # it learns nothing, which is another matter
    client.add_job(job_record(task.job, storage.place(task.run_s3_uri), status="running"))
    assert train(task, Reporter(None), StopRequested()).results["best_f1"] == pytest.approx(0, abs=0.2)
    kinds = {one.kind for one in detect_findings(read_run(client, storage, task.job.job_id))}
    assert "nothing_to_score" not in kinds
