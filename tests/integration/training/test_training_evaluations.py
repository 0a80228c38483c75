"""Evaluations of a run: their times, the choice of the best checkpoint, and the records of both."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from messages.child_protocol import Progress
from receipt_dynamo import DynamoClient
from receipt_layoutlm.checkpoint import MANIFEST
from receipt_layoutlm.evaluation import predict
from receipt_layoutlm.model_folder import download_model, load_model, open_checkpoint
from receipt_layoutlm.training import run as running
from receipt_layoutlm.training.run import train
from run_records.errors import ConfigurationError
from run_records.job_process.child_main import Reporter, Stopped, StopRequested
from run_records.job_process.heartbeat import ProgressReporter
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask, StopAfter, read_json, what_was_learned

QUIET = Reporter(None)
GO_ON = StopRequested()
STEPS_PER_EPOCH = 5


def records_of(storage: S3Store, run_s3_uri: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = read_json(storage, f"{run_s3_uri}run.json")["epoch_metrics"]
    return records


def test_with_eval_steps_a_run_is_scored_and_saved_every_so_many_steps_and_at_its_end(
    make_task: MakeTask, storage: S3Store, client: DynamoClient
) -> None:
    task = make_task(eval_steps=4)
    results = train(task, QUIET, GO_ON).results
    records = records_of(storage, task.run_s3_uri)
    assert [record["global_step"] for record in records] == [4, 8, 10]
    assert [record["epoch"] for record in records] == [0.8, 1.6, 2.0]
    names = {name.split("/")[0] for name in storage.list_keys(f"{task.run_s3_uri}checkpoints/")}
    assert names == {"checkpoint-4", "checkpoint-8", "checkpoint-10"}
    metrics = client.list_job_metrics(task.job.job_id, "val_f1").items
    assert {(metric.step, metric.epoch) for metric in metrics} == {(4, 0), (8, 1), (10, 2)}
    assert results["best_epoch"] in {0, 1, 2}
    assert results["early_stopping_triggered"] is False


def test_a_run_that_ends_before_its_first_evaluation_is_scored_at_its_end(
    make_task: MakeTask, storage: S3Store
) -> None:
    task = make_task(eval_steps=100, epochs=1)
    results = train(task, QUIET, GO_ON).results
    [record] = records_of(storage, task.run_s3_uri)
    assert (record["global_step"], record["epoch"]) == (STEPS_PER_EPOCH, 1)
    assert results["early_stopping_triggered"] is False


def test_a_run_stopped_between_two_evaluations_within_an_epoch_ends_as_if_it_had_not_been(
    make_task: MakeTask, storage: S3Store, tmp_path: Path
) -> None:
    options = {"eval_steps": 4, "epochs": 3}
    whole = make_task("whole", **options)
    train(whole, QUIET, GO_ON)
    broken = make_task("broken", **options)
    with pytest.raises(Stopped):
        train(broken, QUIET, StopAfter(2 + STEPS_PER_EPOCH))  # at an epoch's end that is not scored
    train(make_task("broken", attempt=2, **options), QUIET, GO_ON)
    one, two = (
        [what_was_learned(record) for record in records_of(storage, task.run_s3_uri)]
        for task in (whole, broken)
    )
    assert one == two
    assert [record["global_step"] for record in one] == [4, 8, 12, 15]
    weights = []
    for task in (whole, broken):
        folder = tmp_path / task.job.job_name
        download_model(storage, f"{task.run_s3_uri}checkpoints/checkpoint-15/", folder)
        weights.append(load_model(open_checkpoint(folder)).state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_patience_counts_evaluations_and_not_epochs_also_after_a_stop(
    make_task: MakeTask, storage: S3Store
) -> None:
    options = {"eval_steps": 2, "epochs": 9, "early_stopping_patience": 3, "learning_rate": 1e-9}
    with pytest.raises(Stopped):
        train(make_task(**options), QUIET, StopAfter(2 + 5))
    task = make_task(attempt=2, **options)
    results = train(task, QUIET, GO_ON).results
    assert [record["global_step"] for record in records_of(storage, task.run_s3_uri)] == [2, 4, 6, 8]
    assert results["early_stopping_triggered"] is True
    assert results["epochs_trained"] == 1.6


def test_the_best_checkpoint_is_best_at_the_label_that_was_asked_for(
    make_task: MakeTask, storage: S3Store
) -> None:
    task = make_task(epochs=3, checkpoint_metric="label:PRODUCT_NAME")
    train(task, QUIET, GO_ON)
    scores = [
        (record["per_label_metrics"]["PRODUCT_NAME"]["f1"], -record["global_step"])
        for record in records_of(storage, task.run_s3_uri)
    ]
    best = read_json(storage, f"{task.run_s3_uri}best/{MANIFEST}")
    assert best["step"] == -max(scores)[1]


def test_a_metric_over_a_label_that_is_merged_away_is_refused_before_anything_is_read(
    make_task: MakeTask, bucket: str
) -> None:
    options = {"checkpoint_metric": "label:GRAND_TOTAL", "merge_amounts": True}
    with pytest.raises(ConfigurationError, match="names GRAND_TOTAL, which the run does not learn"):
        train(make_task(**options, dataset_snapshot_load=f"s3://{bucket}/none"), QUIET, GO_ON)


def test_a_run_records_both_decodings_the_interval_merchants_and_confusion_of_each_evaluation(
    make_task: MakeTask, storage: S3Store, client: DynamoClient
) -> None:
    task = make_task(epochs=1)
    results = train(task, QUIET, GO_ON).results
    [record] = records_of(storage, task.run_s3_uri)
    interval = record["eval_f1_interval"]
    assert interval["low"] <= record["eval_f1"] <= interval["high"]
    assert record["by_merchant"]["seen"]["receipts"] == 2  # the shop of all twenty
    assert record["by_merchant"]["seen"]["f1"] == record["eval_f1"]
    assert sum(sum(row.values()) for row in record["confusion"].values()) == 2 * 13
    assert results["best_f1_constrained"] == record["eval_f1_constrained"]
    assert results["best_f1_interval"] == interval
    metrics = {metric.metric_name: metric for metric in client.list_job_metrics(task.job.job_id).items}
    for name, field in (("val_f1_constrained", "eval_f1_constrained"), ("val_f1_strict", "eval_f1_strict")):
        assert metrics[name].value == record[field]
    assert metrics["val_f1_seen"].value == record["eval_f1"]
    assert "val_f1_unseen" not in metrics
    assert not any("confusion" in json.dumps(metric.value) for metric in metrics.values())
    *_, last = client.list_job_logs(task.job.job_id).items
    assert "confusion" not in json.loads(last.message)["epoch_metrics"][0]
    seen = read_json(storage, f"{task.run_s3_uri}run.json")["split_metadata"]["val_merchants_seen"]
    assert seen == [True, True]


def test_progress_comes_from_within_an_evaluation(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "TOKEN_BUDGET", 1)  # a batch of each window
    monkeypatch.setattr(running, "ProgressReporter", partial(ProgressReporter, interval_seconds=0.0))
    stream = io.StringIO()
    train(make_task(epochs=1), Reporter(stream), GO_ON)
    said = [Progress.model_validate_json(line) for line in stream.getvalue().splitlines() if "stage" in line]
    evaluating = [one.message for one in said if one.stage == "evaluating"]
    assert evaluating == ["1 of 2 batches", "2 of 2 batches"]
